/**
 * The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
 *
 * Both talk over a socket beside the path. Lines of JSON say what has happened; a connection that ends says that the other
 * one is gone.
 */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";

import { MAX_PATH_BYTES } from "./address.js";
import { errorMessage, SamehostError, SocketInUseError } from "./errors.js";

/** How long a server may take to release its lock, which takes it less than a millisecond. */
const ANSWER_MS = 5000;

const MAX_LINE_LENGTH = 4096;

type Event = "released" | "published";

/** Where a server listens for its successor; undefined where the name would be too long for a socket. */
export function controlPathOf(path: string): string | undefined {
  const control = `${path}.takeover`;
  return Buffer.byteLength(control) <= MAX_PATH_BYTES ? control : undefined;
}

/** Listens in the private folder, where nobody dials before the socket has its mode and its name. */
export async function listenForSuccessors(privatePath: string): Promise<Server> {
  const listener = createServer().listen(privatePath);
  try {
    await once(listener, "listening");
    // The server's own user alone: whoever may dial it can make the server go.
    chmodSync(privatePath, 0o600);
  } catch (error) {
    listener.close();
    throw new SamehostError(
      `cannot listen for successors at ${privatePath}: ${errorMessage(error)}; make room on its file system`,
    );
  }
  return listener;
}

/** The server that has the path, as its successor meets it; it has released its lock. */
export class Predecessor {
  private constructor(private readonly connection: Socket) {}

  /** Has the server that has the path release its lock. */
  static async ask(path: string): Promise<Predecessor> {
    const control = controlPathOf(path);
    if (control === undefined) {
      throw new SocketInUseError(`${path} can't be taken over: its name leaves no room for .takeover; stop its server`);
    }
    const connection = connect(control);
    connection.setTimeout(ANSWER_MS, () => {
      connection.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`));
    });
    let answer: unknown;
    try {
      answer = await receive(connection);
    } catch (error) {
      throw new SocketInUseError(
        `${path} can't be taken over: nobody answers at ${control}: ${errorMessage(error)}; stop its server`,
      );
    }
    connection.setTimeout(0); // it was for the answer alone: this server may take its time to start
    if (answer !== "released") {
      connection.destroy();
      throw new SocketInUseError(`${path} can't be taken over: its server goes, or another takes over; try again`);
    }
    return new Predecessor(connection);
  }

  /** Says that the path is the successor's now, so that the predecessor drains and goes. */
  tellPublished(): void {
    this.connection.end(line("published"));
  }

  /** Hangs up, so that the predecessor takes its lock again and serves on. */
  giveUp(): void {
    this.connection.destroy();
  }
}

/** What a server does when a successor asks. */
export interface HandOver {
  /** Lets the successor have the lock. */
  release(): void;
  /** Takes the lock again, as the successor has given up. */
  retake(): Promise<void>;
  /** The path is the successor's. */
  handedOver(): void;
}

/** Answers successors, one at a time, until one has published or `close`. */
export class Successors {
  private readonly connections = new Set<Socket>();
  private turn = Promise.resolve();

  constructor(
    private readonly listener: Server,
    private readonly server: HandOver,
  ) {
    listener.on("connection", (connection) => {
      this.connections.add(connection);
      connection.once("close", () => this.connections.delete(connection));
      // An error that nobody hears ends the process. `receive` hears it when it is this one's turn, if not too late.
      connection.on("error", () => undefined);
      // Node.js accepts all at once, so those that come second are kept waiting here.
      this.turn = this.turn.then(() => this.answer(connection));
    });
  }

  /** Listens no more, and hangs up on those who wait for an answer: there will be none. */
  close(): void {
    this.listener.close(); // this waits for the connections
    for (const connection of this.connections) {
      connection.destroy();
    }
  }

  private async answer(connection: Socket): Promise<void> {
    if (connection.destroyed) {
      return;
    }
    this.server.release();
    connection.write(line("released"));
    // There is no deadline: a server may take long to start, and the system hangs up for one that dies.
    const answer = await receive(connection).catch(() => undefined);
    if (answer === "published") {
      this.close();
      this.server.handedOver();
    } else {
      connection.destroy();
      await this.server.retake();
    }
  }
}

function line(event: Event): string {
  return `${JSON.stringify({ event })}\n`;
}

/** The next event; undefined where the connection ends or says something else. The connection stays open. */
function receive(connection: Socket): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let text = "";
    // Not `for await`, which closes the connection behind it.
    const read = (chunk: string): void => {
      text += chunk;
      if (text.includes("\n") || text.length >= MAX_LINE_LENGTH) {
        connection.off("data", read);
        resolve(eventOf(text));
      }
    };
    connection.setEncoding("utf8").on("data", read);
    connection.on("error", reject); // not `once`: a later error that nobody hears would end the process
    connection.once("close", () => {
      resolve(undefined);
    });
  });
}

function eventOf(text: string): unknown {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "object" && message !== null && "event" in message ? message.event : undefined;
  } catch {
    return undefined;
  }
}
