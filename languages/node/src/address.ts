/** The address of a Unix domain socket as PROTOCOL.md defines it: `unix:/absolute/path`. */

import { inspect } from "node:util";

import { AddressError } from "./errors.js";

/**
 * The longest path of a socket in bytes: `sun_path` of Linux's unix(7) has 108, one of them the final NUL. libuv, on
 * which Node.js is built, truncates a longer path without an error, and the server is then bound to another path.
 */
export const MAX_PATH_BYTES = 107;

const SCHEME = "unix:";

// gRPC reads the address as a URI (grpc/grpc doc/naming.md). In a URI the first four characters begin an escape, a
// query, a fragment and the next of several addresses, and libraries differ in how they decode them. Invisible
// characters are reserved too.
const RESERVED = /[%?#,]|\p{C}|(?! )\p{Z}/u;

/**
 * Returns the path in `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path. Every function that
 * takes a path also takes such an address.
 *
 * @throws AddressError: the address is invalid
 */
export function parseAddress(text: string): string {
  let path = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text;
  if (path.startsWith("///")) {
    path = path.slice(2);
  }
  const fault = faultOf(path);
  if (fault !== undefined) {
    throw new AddressError(`invalid socket address ${inspect(text)}: ${fault}`);
  }
  return path;
}

/** Returns the cause and the remedy if the path is invalid. */
function faultOf(path: string): string | undefined {
  const size = Buffer.byteLength(path);
  const reserved = RESERVED.exec(path)?.[0];
  if (path === "") {
    return "the path is empty; use unix:/absolute/path";
  }
  if (path.startsWith("//")) {
    return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path";
  }
  if (!path.startsWith("/")) {
    return "the path is not absolute; use unix:/absolute/path";
  }
  if (/\/\.{0,2}$/.test(path)) {
    return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
  }
  if (reserved !== undefined) {
    return `gRPC libraries read ${inspect(reserved)} in a path differently; use a path without it`;
  }
  if (size > MAX_PATH_BYTES) {
    return `the path has ${size} bytes, and a socket can have ${MAX_PATH_BYTES}; use a shorter path`;
  }
  return undefined;
}
