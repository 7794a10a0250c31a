/** A grpc-js server on a Unix domain socket. */

import { type Server, ServerCredentials } from "@grpc/grpc-js";

import { listen as listenWith, type Listener, type ListenOptions } from "../listen.js";

/**
 * Binds a server, without TLS, to a path, and resolves when calls succeed.
 *
 * @throws as `listen` of the package `samehost`
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

      // Closes the listener, and idle connections, before it returns. The others get GOAWAY, and are closed with their last
      // call. A call that crosses the GOAWAY is none that the server has seen, so that clients may send it again (RFC 9113,
      // 6.8), which grpc-js, grpc-go, grpc-java and C-core do. It may call back never: Node.js waits for clients to close their
      // end, which a silent one does not, and grpc-js lets nobody close the socket.
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
