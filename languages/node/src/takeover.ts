/**
 * Taking a path over from the server that has it, as PROTOCOL.md has it under Takeover; handover.ts is that server's side.
 *
 * Both talk over a socket beside the path. Lines of JSON say what has happened; a connection that ends says that the other
 * one is gone.
 */

import { connect, type Socket } from "node:net";

import { MAX_PATH_BYTES } from "./address.js";
import { SocketInUseError } from "./errors.js";
import { errorMessage } from "./system-error.js";

/** How long a server may take to release its lock, which takes it less than a millisecond. */
const ANSWER_MS = 5000;

const MAX_LINE_BYTES = 4096;

type Event = "released" | "published";

/** Where a server listens for its successor; undefined where the name would be too long for a socket. */
export function controlPathOf(path: string): string | undefined {
  const control = `${path}.takeover`;
  return Buffer.byteLength(control) <= MAX_PATH_BYTES ? control : undefined;
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

/** A message. */
export function line(event: Event): string {
  return `${JSON.stringify({ event })}\n`;
}

/** The next event; undefined where the connection ends or says something else. The connection stays open. */
export function receive(connection: Socket): Promise<unknown> {
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
