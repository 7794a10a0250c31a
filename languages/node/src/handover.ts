/** Handing a path over to a successor, as PROTOCOL.md has it under Takeover; takeover.ts is the successor's side. */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { NotSocketError, SamehostError } from "./errors.js";
import { type Folder, look } from "./folder.js";
import type { Lock } from "./lock.js";
import type { PublicNames } from "./public-names.js";
import { errorMessage } from "./system-error.js";
import { line, receive } from "./takeover.js";

/** How long a successor may be silent without the lock, for which it tries for 2 s. */
const SILENCE_MS = 5000;

/** How long to wait for the lock before opening its file again: somebody may have removed that. */
const RETAKE_MS = 2000;

/** How long to wait before the next try where one fails at once, as no descriptor is left. */
const PACE_MS = 500;

/** What a server has at its path. */
interface Holding {
  readonly path: string;
  readonly folder: Folder;
  readonly names: PublicNames;
  readonly lock: Lock;
  /** Aborted when the server goes. */
  readonly withdrawn: AbortSignal;
  readonly warn: (message: string) => void;
}

/** Answers successors, one at a time, until one has published or `close`. */
export class Handover {
  private readonly name: string;
  private readonly listener = createServer();
  private boundPath = "";
  private readonly connections = new Set<Socket>();
  private turn = Promise.resolve();

  constructor(
    private readonly controlPath: string,
    private readonly holding: Holding,
  ) {
    this.name = basename(controlPath);
  }

  /** Listens in the private folder, where nobody dials before the socket has its mode and its name. */
  async bind(privatePath: string): Promise<void> {
    const { path, folder } = this.holding;
    if (look(folder.at(this.name))?.isSocket() === false) {
      throw new NotSocketError(
        `${this.controlPath} is needed to hand ${path} over and is not a socket; ` +
          `move it away or choose another path`,
      );
    }
    this.boundPath = privatePath;
    this.listener.listen(privatePath);
    try {
      await once(this.listener, "listening");
      // The server's own user alone: whoever may dial it can make the server go.
      chmodSync(privatePath, 0o600);
    } catch (error) {
      throw new SamehostError(
        `cannot listen for successors of ${path}: ${errorMessage(error)}; make room on its file system`,
        { cause: error },
      );
    }
    // An accept that fails, as no descriptor is left, would end the process if nobody heard of it.
    this.listener.on("error", () => undefined);
  }

  publish(): void {
    this.holding.names.give(this.name, this.boundPath);
  }

  /** Answers those who dial, and resolves when one of them serves at the path. */
  serve(): Promise<void> {
    return new Promise((resolve) => {
      this.listener.on("connection", (connection) => {
        this.connections.add(connection);
        connection.once("close", () => this.connections.delete(connection));
        // An error that nobody hears ends the process. `receive` hears it when it is this one's turn, if not too late.
        connection.on("error", () => undefined);
        // Node.js accepts all at once, so those that come second are kept waiting here.
        this.turn = this.turn.then(() => this.answer(connection, resolve));
      });
    });
  }

  /** Listens no more, and hangs up on those who wait for an answer: there will be none. */
  close(): void {
    this.listener.close(); // this waits for the connections
    for (const connection of this.connections) {
      connection.destroy();
    }
  }

  private async answer(connection: Socket, published: () => void): Promise<void> {
    const { path, names, lock, warn } = this.holding;
    if (connection.destroyed || !lock.isHeld) {
      connection.destroy();
      return;
    }
    names.keep();
    lock.release();
    connection.write(line("released"));
    switch (await this.outcome(connection)) {
      case "published":
        this.close();
        published();
        break;
      case "failed":
        connection.destroy();
        await this.retakePatiently();
        break;
      case "silent":
        connection.destroy();
        warn(`a successor that wanted to take ${path} over said nothing more`);
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
      if (first !== "silent" || (await this.retake(0))) {
        return first;
      }
    }
  }

  private async retakePatiently(): Promise<void> {
    const { path, warn } = this.holding;
    let isWarned = false;
    while (!(await this.retake(RETAKE_MS))) {
      if (!isWarned) {
        isWarned = true;
        warn(`a takeover of ${path} failed, and its lock can't be had again; this server tries on`);
      }
      await pause(PACE_MS, undefined, { ref: false });
    }
  }

  /** Tries to take the lock again when a successor has failed; true also where it is needed no more. */
  private async retake(withinMs: number): Promise<boolean> {
    const { names, lock, withdrawn } = this.holding;
    if (withdrawn.aborted) {
      return true;
    }
    try {
      await lock.take(withinMs);
    } catch (error) {
      if (!(error instanceof SamehostError)) {
        throw error;
      }
      return withdrawn.aborted; // otherwise another process holds it, or no descriptor is left
    }
    await names.restore();
    return true;
  }
}
