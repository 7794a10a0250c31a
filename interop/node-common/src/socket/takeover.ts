/**
 * The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
 *
 * Both talk over a socket beside the path. Lines of JSON say what has happened; a connection that ends says that the other
 * one is gone.
 */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { MAX_PATH_BYTES } from "./address.js";
import { errorMessage, SamehostError, SocketInUseError } from "./errors.js";

/** How long a server may take to release its lock, which takes it less than a millisecond. */
const ANSWER_MS = 5000;

/** How long a successor may be silent without the lock, for which it tries for 2 s. */
const SILENCE_MS = 5000;

/** How long to wait for the lock before opening its file again: somebody may have removed that. */
const RETAKE_MS = 2000;

/** How long to wait before the next try where one fails at once, as no descriptor is left. */
const PACE_MS = 500;

const MAX_LINE_BYTES = 4096;

type Event = "released" | "published";

/** Where a server listens for its successor; undefined where the name would be too long for a socket. */
export function controlPathOf(path: string): string | undefined {
  const control = `${path}.takeover`;
  return Buffer.byteLength(control) <= MAX_PATH_BYTES ? control : undefined;
}

/** Listens in the private folder, where nobody dials before the socket has its mode and its name. */
export async function listenForSuccessors(privatePath: string, path: string): Promise<Server> {
  const listener = createServer().listen(privatePath);
  try {
    await once(listener, "listening");
    // The server's own user alone: whoever may dial it can make the server go.
    chmodSync(privatePath, 0o600);
  } catch (error) {
    listener.close();
    throw new SamehostError(
      `cannot listen for successors of ${path}: ${errorMessage(error)}; make room on its file system`,
      { cause: error },
    );
  }
  // An accept that fails, as no descriptor is left, would end the process if nobody heard of it.
  return listener.on("error", () => undefined);
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
    // For the answer alone: this server may take its time to start.
    const deadline = setTimeout(() => {
      connection.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`));
    }, ANSWER_MS);
    let answer: unknown;
    try {
      answer = await receive(connection);
    } catch (error) {
      throw new SocketInUseError(
        `${path} can't be taken over: nobody answers at ${control}: ${errorMessage(error)}; stop its server`,
        { cause: error },
      );
    } finally {
      clearTimeout(deadline);
    }
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
  /** The path, for the log. */
  readonly path: string;
  /** Lets the successor have the lock; false where there is none to release, as the server goes already. */
  release(): boolean;
  /**
   * Tries to take the lock again, when a successor has failed.
   *
   * @param withinMs how long to try; 0 tries once
   * @returns whether the lock is there, or needed no more
   */
  retake(withinMs: number): Promise<boolean>;
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
    if (connection.destroyed || !this.server.release()) {
      connection.destroy();
      return;
    }
    connection.write(line("released"));
    switch (await this.outcome(connection)) {
      case "published":
        this.close();
        this.server.handedOver();
        break;
      case "failed":
        connection.destroy();
        await this.retake();
        break;
      case "silent":
        connection.destroy();
        console.error(`a successor that wanted to take ${this.server.path} over said nothing more`);
    }
  }

  /** What becomes of a successor: it publishes, fails, or is silent and does not even hold the lock, which is taken again. */
  private async outcome(connection: Socket): Promise<"published" | "failed" | "silent"> {
    const answer = receive(connection).then(
      (event) => (event === "published" ? event : "failed"),
      () => "failed" as const,
    );
    for (;;) {
      const first = await Promise.race([answer, pause(SILENCE_MS, "silent" as const, { ref: false })]);
      if (first !== "silent" || (await this.server.retake(0))) {
        return first;
      }
    }
  }

  private async retake(): Promise<void> {
    let isWarned = false;
    while (!(await this.server.retake(RETAKE_MS))) {
      if (!isWarned) {
        isWarned = true;
        console.error(
          `a takeover of ${this.server.path} failed, and its lock can't be had again; this server tries on`,
        );
      }
      await pause(PACE_MS, undefined, { ref: false });
    }
  }
}

function line(event: Event): string {
  return `${JSON.stringify({ event })}\n`;
}

/** The next event; undefined where the connection ends or says something else. The connection stays open. */
function receive(connection: Socket): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let said = Buffer.alloc(0);
    // Not `for await`, which closes the connection behind it.
    const read = (chunk: Buffer): void => {
      said = Buffer.concat([said, chunk]);
      if (chunk.includes("\n") || said.length >= MAX_LINE_BYTES) {
        connection.off("data", read);
        resolve(eventOf(said));
      }
    };
    connection.on("data", read);
    connection.on("error", reject); // not `once`: a later error that nobody hears would end the process
    connection.once("close", () => {
      resolve(undefined);
    });
  });
}

function eventOf(said: Buffer): unknown {
  try {
    const message: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(said));
    return typeof message === "object" && message !== null && "event" in message ? message.event : undefined;
  } catch {
    return undefined;
  }
}
