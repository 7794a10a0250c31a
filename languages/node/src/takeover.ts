/**
 * Takes a path over from the running server. PROTOCOL.md describes it under Takeover. handover.ts implements the side
 * of the running server.
 *
 * The two servers exchange lines of JSON over a socket beside the path. When the connection ends, the other server has
 * failed.
 */

import { connect, type Socket } from "node:net";

import { MAX_PATH_BYTES } from "./address.js";
import { SocketInUseError } from "./errors.js";
import { errorCode, errorMessage } from "./system-error.js";

/** The time that the running server has to release its lock. It takes less than a millisecond. */
const ANSWER_MS = 5000;

const MAX_LINE_BYTES = 4096;

/** The errors of connecting to a missing socket, and to one that a killed server left. */
const NOBODY_LISTENS = ["ENOENT", "ECONNREFUSED"];

type Event = "released" | "published";

/** Returns the path on which a server listens for its successor, or undefined if it is too long for a socket. */
export function controlPathOf(path: string): string | undefined {
  const control = `${path}.takeover`;
  return Buffer.byteLength(control) <= MAX_PATH_BYTES ? control : undefined;
}

/** The running server, seen from its successor. It has released its lock. */
export class Predecessor {
  private constructor(private readonly connection: Socket) {}

  /**
   * Asks the running server to release its lock.
   *
   * @throws SocketInUseError: the server cannot be taken over
   */
  static async requestRelease(path: string): Promise<Predecessor> {
    const control = controlPathOf(path);
    if (control === undefined) {
      throw new SocketInUseError(
        `cannot take over ${path}: its name leaves no room for .takeover; stop its server and start this one`,
      );
    }
    const connection = connect(control);
    // Only the answer has a time limit: this server may take longer to start.
    const deadline = setTimeout(() => {
      connection.destroy(new Error(`timeout after ${ANSWER_MS / 1000} s`));
    }, ANSWER_MS);
    let answer: unknown;
    try {
      answer = await receive(connection);
    } catch (error) {
      throw new SocketInUseError(
        NOBODY_LISTENS.includes(errorCode(error))
          ? `cannot take over ${path}: no server listens on ${control}, so its server allows no takeover, ` +
              `or is starting or stopping; stop its server and start this one`
          : `cannot take over ${path}: its server does not answer on ${control}: ${errorMessage(error)}; ` +
              `stop it, or kill it if it is blocked, and start this one`,
        { cause: error },
      );
    } finally {
      clearTimeout(deadline);
    }
    if (answer !== "released") {
      connection.destroy();
      throw new SocketInUseError(
        `cannot take over ${path}: its server is stopping, or another server is taking over; try again`,
      );
    }
    return new Predecessor(connection);
  }

  /** Reports that this server serves on the path. The running server then drains and exits. */
  reportPublished(): void {
    this.connection.end(line("published"));
  }

  /** Closes the connection. The running server then takes its lock again and keeps serving. */
  abandon(): void {
    this.connection.destroy();
  }
}

/** Returns a message. */
export function line(event: Event): string {
  return `${JSON.stringify({ event })}\n`;
}

/** Receives the next event, or undefined if the connection ends or sends other data. The connection stays open. */
export function receive(connection: Socket): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    // Not `for await`, because leaving its loop closes the connection.
    const read = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (chunk.includes("\n") || received.length >= MAX_LINE_BYTES) {
        connection.off("data", read);
        resolve(eventOf(received));
      }
    };
    connection.on("data", read);
    connection.on("error", reject); // not `once`: a second error without a handler would end the process
    connection.once("close", () => {
      resolve(undefined);
    });
  });
}

function eventOf(received: Buffer): unknown {
  try {
    const message: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(received));
    return typeof message === "object" && message !== null && "event" in message ? message.event : undefined;
  } catch {
    return undefined;
  }
}
