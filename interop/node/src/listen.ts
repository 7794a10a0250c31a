/** A grpc-js server on a Unix domain socket: bound, published, and stopped as PROTOCOL.md has it. */

import { createRequire } from "node:module";

import { type Server, ServerCredentials } from "@grpc/grpc-js";

import { formatAddress } from "./common/socket/address.js";
import { errorMessage, SamehostError } from "./common/socket/errors.js";
import { SocketFile, type SocketOptions } from "./common/socket/socket-file.js";

export const IMPLEMENTATION = "grpc-js";
export const VERSION = (createRequire(import.meta.url)("@grpc/grpc-js/package.json") as { version: string }).version;

/** A longer time makes timers of Node.js fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Serves, and then lets the socket be found at its path. */
export async function listen(server: Server, options: SocketOptions): Promise<SocketFile> {
  const file = new SocketFile(options, `${IMPLEMENTATION} ${VERSION}`);
  const privatePath = await file.claim();
  try {
    await bind(server, formatAddress(privatePath));
    file.publish();
    return file;
  } catch (error) {
    server.forceShutdown();
    file.withdraw();
    throw error;
  }
}

/** Stops: the path is removed, clients move away, calls in progress finish within the grace. */
export async function stop(server: Server, file: SocketFile, graceMs: number): Promise<void> {
  file.withdraw();
  const drained = new Promise<void>((resolve) => {
    // Closes the listener, and idle connections, before it returns. The others get GOAWAY, and are closed with their last
    // call. A call that crosses the GOAWAY is none that the server has seen, so that clients may send it again (RFC 9113,
    // 6.8), which grpc-js, grpc-go, grpc-java and C-core do.
    server.tryShutdown(() => {
      resolve();
    });
  });
  const cut = setTimeout(
    () => {
      server.forceShutdown();
    },
    Math.min(graceMs, MAX_TIMER_MS),
  );
  await drained;
  clearTimeout(cut);
}

function bind(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
      if (error === null) {
        resolve();
      } else {
        reject(new SamehostError(`the system refused the socket ${address}: ${errorMessage(error)}`));
      }
    });
  });
}
