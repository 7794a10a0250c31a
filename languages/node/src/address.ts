/** The address of a Unix domain socket, as PROTOCOL.md has it: `unix:/absolute/path`. */

import { inspect } from "node:util";

import { AddressError } from "./errors.js";

/**
 * The longest path of a socket in bytes: `sun_path` of Linux's unix(7) has 108, one of them the final NUL. libuv, and so
 * Node.js, cuts off a longer one in silence, and a server is then bound to some other path.
 */
export const MAX_PATH_BYTES = 107;

const SCHEME = "unix:";

// gRPC reads the address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a query, a fragment and the
// next of several addresses; libraries differ in whether they undo it. Nor may there be what nobody can see.
const RESERVED = /[%?#,]|\p{C}|(?! )\p{Z}/u;

/**
 * Returns the path in `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path. Every function that takes a path
 * takes such an address too.
 *
 * @throws AddressError
 */
export function parseAddress(text: string): string {
  let path = text.startsWith(SCHEME) ? text.slice(SCHEME.length) : text;
  if (path.startsWith("///")) {
    path = path.slice(2);
  }
  const fault = faultOf(path);
  if (fault !== undefined) {
    throw new AddressError(`bad socket address ${inspect(text)}: ${fault}`);
  }
  return path;
}

/** The address as every gRPC library takes it for a target. */
export function formatAddress(path: string): string {
  return `${SCHEME}${path}`;
}

function faultOf(path: string): string | undefined {
  const size = Buffer.byteLength(path);
  const reserved = RESERVED.exec(path)?.[0];
  if (path === "") {
    return "the path is empty; write unix:/absolute/path";
  }
  if (path.startsWith("//")) {
    return "two slashes make the next word a host; write unix:/absolute/path or unix:///absolute/path";
  }
  if (!path.startsWith("/")) {
    return "the path is not absolute; write unix:/absolute/path";
  }
  if (/\/\.{0,2}$/.test(path)) {
    return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
  }
  if (reserved !== undefined) {
    return `the path contains ${inspect(reserved)}, which gRPC libraries do not all read alike; choose a path without it`;
  }
  if (size > MAX_PATH_BYTES) {
    return `the path has ${size} bytes and a Unix socket's may have ${MAX_PATH_BYTES}; choose a shorter one`;
  }
  return undefined;
}
