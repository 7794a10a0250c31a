/** A Connect server on a Unix domain socket. */

import { once } from "node:events";
import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";

import { type Bindable, listen as listenWith, type Listener, type ListenOptions } from "../listen.js";
import { UNLIMITED_MEMORY } from "./dial.js";

/** The highest number of a stream: in a GOAWAY it refuses none. */
const ANY_STREAM = 2 ** 31 - 1;

/** How long a client may take to answer a PING; on one machine it takes less than a millisecond. */
const PING_MS = 1000;

/** What `connectNodeAdapter` returns. */
type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/**
 * Serves HTTP/2 without TLS on a path, and resolves when calls succeed.
 *
 * @param handler what `connectNodeAdapter` returns
 * @throws as `listen` of the package `samehost`
 */
export function listen(handler: Handler, path: string, options: ListenOptions = {}): Promise<Listener> {
  return listenWith(new Http2Server(handler), path, options);
}

class Http2Server implements Bindable {
  private readonly server;
  private readonly connections = new Set<Connection>();
  /** Those of closed sessions too: Node.js then waits for clients to close their end, which a silent one does not. */
  private readonly sockets = new Set<Socket>();

  constructor(handler: Handler) {
    this.server = createServer({ maxSessionMemory: UNLIMITED_MEMORY }, (request, response) => {
      // Clients on C-core send the path, of which the adapter can make no URL: it throws, and the connection breaks.
      request.headers[":authority"] = "localhost";
      handler(request, response);
    });
    this.server.on("connection", (socket: Socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
    });
    this.server.on("session", (session) => {
      const connection = new Connection(session);
      this.connections.add(connection);
      session.once("close", () => this.connections.delete(connection));
    });
  }

  async bind(path: string): Promise<void> {
    this.server.listen(path);
    await once(this.server, "listening");
    // An accept that fails, as no descriptor is left, would end the process if nobody heard of it.
    this.server.on("error", () => undefined);
  }

  async drain(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close(); // this ends listening at once, and emits `close` when the last connection has ended
    for (const connection of this.connections) {
      connection.moveAway();
    }
    await closed;
  }

  cut(): void {
    this.server.close();
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }
}

/** A client's connection, which knows how many calls are on it. */
class Connection {
  private calls = 0;
  private isMovingAway = false;

  constructor(private readonly session: ServerHttp2Session) {
    session.on("stream", (stream) => {
      this.calls++;
      stream.once("close", () => {
        this.calls--;
        if (this.isMovingAway && this.calls === 0) {
          session.close();
        }
      });
    });
  }

  /**
   * Has the client make its next calls elsewhere, and closes the connection when those on it are done. `close` alone would
   * refuse the calls that are on their way, so a first GOAWAY only asks for no more of them, and by the time the client
   * answers a PING that follows it they have all arrived (RFC 9113, 6.8). grpc-go's GracefulStop does the same. But nghttp2
   * reads no further once it has sent GOAWAY and no call is left (nghttp2_session_want_read), so it is `close` then. A call
   * that crosses this one is none that the server has seen, so that its client may send it again.
   */
  moveAway(): void {
    if (this.calls === 0) {
      this.session.close();
      return;
    }
    this.isMovingAway = true;
    this.session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
    const close = (): void => {
      clearTimeout(timer);
      this.session.close();
    };
    const timer = setTimeout(close, PING_MS);
    this.session.ping(close);
  }
}
