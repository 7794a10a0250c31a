/** A grpc-js server on a Unix domain socket: bound, published, and stopped as PROTOCOL.md has it. */

import { createRequire } from "node:module";

import { type Server, ServerCredentials } from "@grpc/grpc-js";

import { MAX_TIMER_MS } from "samehost-interop-common/limits";
import { formatAddress } from "samehost-interop-common/socket/address";
import { errorMessage, SamehostError } from "samehost-interop-common/socket/errors";
import { SocketFile, type SocketOptions } from "samehost-interop-common/socket/socket-file";

export const IMPLEMENTATION = "grpc-js";
export const VERSION = (createRequire(import.meta.url)("@grpc/grpc-js/package.json") as { version: string }).version;

/** Serves, and then lets the socket be found at its path. */
export async function listen(server: Server, options: SocketOptions): Promise<SocketFile> {
  const file = new SocketFile(options, `${IMPLEMENTATION} ${VERSION}`);
  const privatePath = await file.claim();
  try {
    await bind(server, privatePath, options.path);
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
  let cut: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    // Closes the listener, and idle connections, before it returns. The others get GOAWAY, and are closed with their last
    // call. A call that crosses the GOAWAY is none that the server has seen, so that clients may send it again (RFC 9113,
    // 6.8), which grpc-js, grpc-go, grpc-java and C-core do.
    server.tryShutdown(() => {
      resolve();
    });
    cut = setTimeout(
      () => {
        server.forceShutdown();
        // `tryShutdown` calls back later or never: Node.js waits for clients to close their end, which a silent one does not,
        // and grpc-js lets nobody close the socket.
        resolve();
      },
      Math.min(graceMs, MAX_TIMER_MS),
    );
  });
  clearTimeout(cut);
}

function bind(server: Server, privatePath: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddress(privatePath), ServerCredentials.createInsecure(), (error) => {
      if (error === null) {
        resolve();
      } else {
        const reason = errorMessage(error).replaceAll(privatePath, path); // grpc-js names what it was given
        reject(new SamehostError(`the system refused a socket for ${path}: ${reason}`, { cause: error }));
      }
    });
  });
}
