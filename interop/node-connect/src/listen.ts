/** An HTTP/2 server of Node.js on a Unix domain socket: bound, published, and stopped as PROTOCOL.md has it. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";

import { MAX_TIMER_MS } from "samehost-interop-common/limits";
import { errorMessage, SamehostError } from "samehost-interop-common/socket/errors";
import { SocketFile, type SocketOptions } from "samehost-interop-common/socket/socket-file";

export const IMPLEMENTATION = "connect-node";
export const VERSION = libraryVersion();

/** The highest number of a stream: in a GOAWAY it refuses none. */
const ANY_STREAM = 2 ** 31 - 1;

/** How long a client may take to answer a PING; on one machine it takes less than a millisecond. */
const PING_MS = 1000;

/** What is listening, until `stop`. */
export class Listener {
  private readonly connections = new Set<Connection>();
  /** Those of closed sessions too: Node.js then waits for clients to close their end, which a silent one does not. */
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Http2Server,
    private readonly file: SocketFile,
  ) {
    server.on("connection", (socket: Socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
    });
    server.on("session", (session) => {
      const connection = new Connection(session);
      this.connections.add(connection);
      session.once("close", () => this.connections.delete(connection));
    });
  }

  /** Serves, and then lets the socket be found at its path. */
  static async listen(server: Http2Server, options: SocketOptions): Promise<Listener> {
    const file = new SocketFile(options, `${IMPLEMENTATION} ${VERSION}`);
    const listener = new Listener(server, file);
    const privatePath = await file.claim();
    try {
      await bind(server, privatePath, options.path);
      file.publish();
    } catch (error) {
      server.close();
      file.withdraw();
      throw error;
    }
    return listener;
  }

  /** Resolves when a successor serves at the path: it is time to stop. */
  get takenOver(): Promise<void> {
    return this.file.takenOver;
  }

  /** Rejected when someone has removed the path and the server is to stop then. */
  get removed(): Promise<never> {
    return this.file.removed;
  }

  /** Stops: the path is removed, clients move away, calls in progress finish within the grace. */
  async stop(graceMs: number): Promise<void> {
    this.file.withdraw();
    const closed = once(this.server, "close");
    this.server.close(); // this ends listening at once, and emits `close` when the last connection has ended
    for (const connection of this.connections) {
      connection.moveAway();
    }
    const cut = setTimeout(
      () => {
        for (const socket of this.sockets) {
          socket.destroy();
        }
      },
      Math.min(graceMs, MAX_TIMER_MS),
    );
    await closed;
    clearTimeout(cut);
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

async function bind(server: Http2Server, privatePath: string, path: string): Promise<void> {
  server.listen(privatePath);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new SamehostError(`the system refused a socket for ${path}: ${errorMessage(error)}`, { cause: error });
  }
  // An accept that fails, as no descriptor is left, would end the process if nobody heard of it.
  server.on("error", () => undefined);
}

/** The package lets nobody import its package.json, so this looks for it beside the entry point. */
function libraryVersion(): string {
  const entry = import.meta.resolve("@connectrpc/connect-node"); // .../dist/esm/index.js
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", entry), "utf8")) as { version: string };
  return manifest.version;
}
