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

/** The highest stream number. A GOAWAY with this number refuses no stream. */
const ANY_STREAM = 2 ** 31 - 1;

/** The time that a client has to answer a PING. It takes less than a millisecond on one machine. */
const PING_MS = 1000;

/** The handler that `connectNodeAdapter` returns. */
type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/**
 * Listens on a path with HTTP/2 without TLS, and resolves when calls succeed.
 *
 * @param handler the handler that `connectNodeAdapter` returns
 * @throws the same errors as `listen` of the package `samehost`
 */
export function listen(handler: Handler, path: string, options: ListenOptions = {}): Promise<Listener> {
  return listenWith(new Http2Server(handler), path, options);
}

class Http2Server implements Bindable {
  private readonly server;
  private readonly connections = new Set<Connection>();
  /** Includes those of closed sessions, because Node.js waits until their clients close their ends. */
  private readonly sockets = new Set<Socket>();

  constructor(handler: Handler) {
    this.server = createServer({ maxSessionMemory: UNLIMITED_MEMORY }, (request, response) => {
      // Clients on C-core send the path. The adapter cannot build a URL from it and throws, which breaks the
      // connection.
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
    // A failed accept, as without a free descriptor, ends the process if its error has no handler.
    this.server.on("error", () => undefined);
  }

  async drain(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close(); // stops listening at once, and emits `close` when the last connection has ended
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

/** The connection of a client. Counts the calls in progress. */
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
   * Makes the client send its next calls over another connection, and closes this one after its last call. `close`
   * alone would refuse calls that are on their way. A first GOAWAY only asks the client for no more calls, and all of
   * them have arrived when the client answers the PING that follows (RFC 9113, 6.8). GracefulStop of grpc-go does the
   * same.
   *
   * A connection without calls is closed directly, because nghttp2 stops reading once it has sent GOAWAY and no call is
   * in progress (nghttp2_session_want_read). The server has not processed a call that crosses this GOAWAY, so its
   * client can send it again.
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
