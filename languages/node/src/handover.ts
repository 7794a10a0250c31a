/**
 * Hands a path over to a successor. PROTOCOL.md describes it under Takeover. takeover.ts implements the side of the
 * successor.
 */

import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { NotSocketError, SamehostError } from "./errors.js";
import { type Folder, look } from "./folder.js";
import { bindError } from "./listen-step.js";
import type { Lock } from "./lock.js";
import type { PublicNames } from "./public-names.js";
import { line, receive } from "./takeover.js";

/** The time that a successor can be silent while the lock is free. A successor tries to take the lock for 2 s. */
const SILENCE_MS = 5000;

/** The time to wait for the lock before opening its file again, because someone may have removed the file. */
const RETAKE_MS = 2000;

/** The time between two tries when one fails at once, as it does without a free descriptor. */
const RETRY_MS = 500;

/** The resources of the server on a path. */
interface Resources {
  readonly path: string;
  readonly folder: Folder;
  readonly names: PublicNames;
  readonly lock: Lock;
  /** Aborted when the server stops. */
  readonly withdrawn: AbortSignal;
  readonly warn: (message: string) => void;
}

/** Answers successors, one at a time, until one has published or `close` is called. */
export class Handover {
  private readonly name: string;
  private readonly listener = createServer();
  private boundPath = "";
  private readonly connections = new Set<Socket>();
  private turn = Promise.resolve();

  constructor(
    private readonly controlPath: string,
    private readonly resources: Resources,
  ) {
    this.name = basename(controlPath);
  }

  /** Listens in the private folder, where no successor connects before the socket has its mode and public name. */
  async bind(privatePath: string): Promise<void> {
    const { path, folder } = this.resources;
    if (look(folder.at(this.name))?.isSocket() === false) {
      throw new NotSocketError(
        `cannot listen on ${path}: ${this.controlPath} exists and is not a socket; move it or use another path`,
      );
    }
    this.boundPath = privatePath;
    this.listener.listen(privatePath);
    try {
      await once(this.listener, "listening");
      // Only for the user of this server, because anyone who can connect can make the server stop.
      chmodSync(privatePath, 0o600);
    } catch (error) {
      throw bindError(path, error);
    }
    // A failed accept, as without a free descriptor, ends the process if its error has no handler.
    this.listener.on("error", () => undefined);
  }

  publish(): void {
    this.resources.names.publish(this.name, this.boundPath);
  }

  /** Answers successors, and resolves when one of them serves on the path. */
  serve(): Promise<void> {
    return new Promise((resolve) => {
      this.listener.on("connection", (connection) => {
        this.connections.add(connection);
        connection.once("close", () => this.connections.delete(connection));
        // An error without a handler ends the process. `receive` adds one only in the turn of this connection.
        connection.on("error", () => undefined);
        // Node.js accepts all connections at once, so the later ones wait here for their turn.
        this.turn = this.turn.then(() => this.answer(connection, resolve));
      });
    });
  }

  /** Stops listening, and closes the connections that still wait for an answer. */
  close(): void {
    this.listener.close(); // takes effect after the connections have closed
    for (const connection of this.connections) {
      connection.destroy();
    }
  }

  private async answer(connection: Socket, published: () => void): Promise<void> {
    const { path, names, lock, warn } = this.resources;
    if (connection.destroyed || !lock.isHeld) {
      connection.destroy();
      return;
    }
    names.link();
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
        warn(`a takeover of ${path} failed: the successor sent nothing more`);
    }
  }

  /**
   * Waits until a successor publishes, fails, or is silent without the lock, and takes the lock again in the last case.
   */
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
    const { path, warn } = this.resources;
    let isWarned = false;
    while (!(await this.retake(RETAKE_MS))) {
      if (!isWarned) {
        isWarned = true;
        warn(`a takeover of ${path} failed, and this server cannot take its lock again; it keeps serving and retries`);
      }
      await pause(RETRY_MS, undefined, { ref: false });
    }
  }

  /**
   * Tries to take the lock again after a successor failed. Returns true also if this server stops and needs no lock.
   */
  private async retake(withinMs: number): Promise<boolean> {
    const { names, lock, withdrawn } = this.resources;
    if (withdrawn.aborted) {
      return true;
    }
    try {
      await lock.take(withinMs);
    } catch (error) {
      if (!(error instanceof SamehostError)) {
        throw error;
      }
      return withdrawn.aborted; // if not stopped: another process holds the lock, or no descriptor is free
    }
    await names.restore();
    return true;
  }
}
