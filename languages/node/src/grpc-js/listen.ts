/** A grpc-js server on a Unix domain socket. */

import { type Server, ServerCredentials } from "@grpc/grpc-js";

import { listen as listenWith, type Listener, type ListenOptions } from "../listen.js";

/**
 * Listens on a path without TLS and resolves when calls succeed.
 *
 * @throws the same errors as `listen` of the package `samehost`
 */
export function listen(server: Server, path: string, options: ListenOptions = {}): Promise<Listener> {
  return listenWith(
    {
      bind: (privatePath) =>
        new Promise((resolve, reject) => {
          server.bindAsync(`unix:${privatePath}`, ServerCredentials.createInsecure(), (error) => {
            if (error === null) {
              resolve();
            } else {
              reject(error);
            }
          });
        }),

      // `tryShutdown` closes the listener and idle connections at once. The other connections get GOAWAY and close
      // after their last call. The server has not processed a call that crosses the GOAWAY, so clients can send it
      // again (RFC 9113, 6.8), as grpc-js, grpc-go, grpc-java and C-core do. The callback may never run, because
      // Node.js waits until the clients close their ends, and grpc-js does not expose the sockets.
      drain: () =>
        new Promise((resolve) => {
          server.tryShutdown(() => {
            resolve();
          });
        }),

      cut: () => {
        server.forceShutdown();
      },
    },
    path,
    options,
  );
}
