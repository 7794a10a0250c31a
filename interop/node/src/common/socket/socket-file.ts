/** The life of a socket's file, as PROTOCOL.md has it: private, public, removed. */

import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";

import { MAX_PATH_BYTES } from "./address.js";
import { errorMessage, SamehostError, SocketInUseError } from "./errors.js";
import { Lock } from "./lock.js";
import { describePermissions, formatMode, pathState } from "./probe.js";
import { controlPathOf, listenForSuccessors, Predecessor, Successors } from "./takeover.js";
import { watch } from "./watch.js";

/** Hexadecimal digits, so that two paths of one folder share a private folder once in 4 billion. */
const FOLDER_NAME_LENGTH = 8;

/**
 * Random digits. When a listener of Node.js closes, libuv unlinks the name that it bound, whatever is there by then: a server
 * that drains would take away what its successor has just bound under the same name.
 */
const SOCKET_NAME_LENGTH = 4;

/** How long to try for a lock that was just released: a third server may hold it while it finds the path live. */
const RELEASED_LOCK_MS = 2000;

export interface SocketOptions {
  /** The path that clients use. */
  readonly path: string;
  /** Permissions. Connecting takes *write* permission (unix(7)). */
  readonly mode: number;
  /** The group that owns the socket; the process's own if undefined. */
  readonly gid: number | undefined;
  /** Where a server has the path, take it over: that server drains and goes. */
  readonly takeover: boolean;
  /** What to do when someone removes the path or puts something else there, so that no new client finds the server. */
  readonly onRemoved: "serve" | "stop";
}

/**
 * One server's hold on a path: `claim`, bind, `publish`, serve until a signal, `takenOver` or `removed`, `withdraw`.
 *
 * The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
 * there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
 * never one with a wider mode.
 */
export class SocketFile {
  /** Resolves when a successor serves at the path: it is time to stop. */
  readonly takenOver: Promise<void>;
  private handedOver: () => void = () => undefined;

  /** Rejected when someone has removed the path and the server is to stop then. */
  readonly removed: Promise<never>;
  private failRemoved: (error: SamehostError) => void = () => undefined;

  private readonly privatePath: string;
  private readonly identities = new Map<string, { dev: bigint; ino: bigint }>();
  private readonly withdrawn = new AbortController();
  private lock: Lock | undefined;
  private predecessor: Predecessor | undefined;
  private control: { path: string; privatePath: string; listener: Server } | undefined;
  private successors: Successors | undefined;

  /** @param owner the implementation, for the error message of whoever comes second */
  constructor(
    private readonly options: SocketOptions,
    private readonly owner: string,
  ) {
    this.privatePath = privatePathOf(options.path);
    this.takenOver = new Promise((resolve) => {
      this.handedOver = resolve;
    });
    this.removed = new Promise((_, reject) => {
      this.failRemoved = reject;
    });
  }

  /** Locks the path, sees that nobody serves there or takes it over, and returns the private path to bind. */
  async claim(): Promise<string> {
    try {
      await this.takeLockOrTakeOver();
      await this.refuseWhatIsNotStale();
      this.refuseForeignControl();
      this.makePrivateFolder();
      await this.listenForSuccessors();
    } catch (error) {
      this.withdraw();
      throw error;
    }
    return this.privatePath;
  }

  /** Gives the bound socket its group and mode and renames it onto the path; from now on it is found. */
  publish(): void {
    const { path, mode, gid } = this.options;
    try {
      if (gid !== undefined) {
        chownSync(this.privatePath, -1, gid);
      }
      chmodSync(this.privatePath, mode);
      // The socket for successors first: if this fails, or the process dies here, a predecessor still has its path.
      if (this.control !== undefined) {
        this.rename(this.control.privatePath, this.control.path);
      }
      this.rename(this.privatePath, path);
      rmdirSync(dirname(this.privatePath));
    } catch (error) {
      throw new SamehostError(
        `cannot publish ${path} with mode ${formatMode(mode)} and group ${gid ?? "of this process"}: ` +
          `${errorMessage(error)}; ${describePermissions(path)}; only a group that this process is in can be given`,
      );
    }
    // Only now: whoever hears of it may remove or rename what is beside the path.
    this.predecessor?.tellPublished();
    this.predecessor = undefined;
    if (this.control !== undefined) {
      this.successors = new Successors(this.control.listener, {
        release: () => {
          this.releaseLock();
        },
        retake: () => this.retakeLock(),
        handedOver: this.handedOver,
      });
    }
    watch(
      () => this.isLost(),
      () => {
        this.whenLost();
      },
      this.withdrawn.signal,
    );
  }

  /**
   * Removes the path if it is still this server's own, and lets the next server have it; doing it twice is harmless. Where a
   * successor may have the lock, the names stay: it could put its own there between the look and the removal.
   */
  withdraw(): void {
    this.withdrawn.abort();
    this.successors?.close();
    this.control?.listener.close();
    if (this.lock !== undefined) {
      this.removeFiles();
      this.releaseLock();
    }
    this.predecessor?.giveUp();
  }

  private async takeLockOrTakeOver(): Promise<void> {
    try {
      await this.takeLock(0);
    } catch (error) {
      if (!this.options.takeover || !(error instanceof SocketInUseError)) {
        throw error;
      }
      this.predecessor = await Predecessor.ask(this.options.path);
      await this.takeLock(RELEASED_LOCK_MS);
    }
  }

  private async takeLock(withinMs: number): Promise<void> {
    this.lock = await Lock.take(this.options.path, this.owner, withinMs, this.withdrawn.signal);
  }

  private releaseLock(): void {
    this.lock?.release();
    this.lock = undefined;
  }

  /** Takes the lock again when a successor gave up. Even without it, others find the path live. */
  private async retakeLock(): Promise<void> {
    try {
      this.withdrawn.signal.throwIfAborted();
      await this.takeLock(RELEASED_LOCK_MS);
    } catch (error) {
      if (!this.withdrawn.signal.aborted) {
        console.error(
          `a takeover of ${this.options.path} was given up, and its lock can't be had again: ${errorMessage(error)}`,
        );
      }
    }
    if (this.withdrawn.signal.aborted) {
      this.releaseLock();
    }
  }

  private async listenForSuccessors(): Promise<void> {
    const path = controlPathOf(this.options.path);
    if (path === undefined) {
      return;
    }
    // As long as the server's own name, and never the same, as that is hexadecimal.
    const privatePath = join(dirname(this.privatePath), `t${basename(this.privatePath).slice(1)}`);
    this.control = { path, privatePath, listener: await listenForSuccessors(privatePath) };
  }

  private rename(privatePath: string, path: string): void {
    this.identities.set(path, lstatSync(privatePath, { bigint: true }));
    renameSync(privatePath, path);
  }

  /** Never while a successor may have the lock: what is at the path may be its own then, and a takeover is no loss. */
  private isLost(): boolean {
    return this.lock !== undefined && !this.isOwn(this.options.path);
  }

  private whenLost(): void {
    const error = new SamehostError(
      `someone has removed ${this.options.path}, or put another in its place: no new client finds this server; ` +
        `start it again, and leave the file alone`,
    );
    if (this.options.onRemoved === "stop") {
      this.failRemoved(error);
    } else {
      console.error(error.message);
    }
  }

  private isOwn(path: string): boolean {
    try {
      const { dev, ino } = lstatSync(path, { bigint: true });
      const own = this.identities.get(path);
      return dev === own?.dev && ino === own.ino;
    } catch {
      return false;
    }
  }

  private removeFiles(): void {
    try {
      for (const path of this.identities.keys()) {
        if (this.isOwn(path)) {
          unlinkSync(path);
        }
      }
      this.removePrivateFolder();
    } catch {
      // On the way out there is nobody to tell, and the next server clears it away.
    }
  }

  private async refuseWhatIsNotStale(): Promise<void> {
    const { path } = this.options;
    switch (await pathState(path)) {
      case "not a socket":
        throw new SamehostError(`${path} exists and is not a socket; move it away or choose another path`);
      case "live":
        if (this.predecessor !== undefined) {
          return;
        }
        if (this.options.takeover) {
          // Its server holds a lock that flock(1) does not see: Java has record locks alone.
          this.predecessor = await Predecessor.ask(path);
          return;
        }
        throw new SocketInUseError(
          `${path} has a server already: someone answers there without holding ${path}.lock; ` +
            `stop that server or choose another path`,
        );
      case "forbidden":
        throw new SamehostError(
          `${path} may have a server: this process is not allowed to ask; ${describePermissions(path)}; ` +
            `remove the file if nobody serves there`,
        );
      case "stale":
      case "absent":
    }
  }

  private refuseForeignControl(): void {
    const control = controlPathOf(this.options.path);
    if (control !== undefined && lstatSync(control, { throwIfNoEntry: false })?.isSocket() === false) {
      throw new SamehostError(
        `${control} is needed to hand ${this.options.path} over and is not a socket; ` +
          `move it away or choose another path`,
      );
    }
  }

  private makePrivateFolder(): void {
    const folder = dirname(this.privatePath);
    try {
      this.removePrivateFolder();
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      throw new SamehostError(
        `cannot create ${folder} for the socket ${this.options.path}: ${errorMessage(error)}; ` +
          `${describePermissions(folder)}; let this process write there`,
      );
    }
  }

  /** Removes what this server, or one that was killed while it started, left; safe, as it holds the lock. */
  private removePrivateFolder(): void {
    const folder = dirname(this.privatePath);
    if (!existsSync(folder)) {
      return;
    }
    for (const left of readdirSync(folder, { withFileTypes: true })) {
      if (left.isSocket()) {
        unlinkSync(join(folder, left.name));
      }
    }
    rmdirSync(folder);
  }
}

/**
 * Where the socket is bound: a random name in a folder beside the path, which has a name of its own for each path. It must fit
 * into a socket's address too, so both names get shorter where the path is long.
 */
function privatePathOf(path: string): string {
  const parent = dirname(path);
  const room = MAX_PATH_BYTES - Buffer.byteLength(parent) - "/./".length;
  if (room < "ab".length) {
    throw new SamehostError(`${path} leaves no room for a private name beside it; choose a folder with a shorter name`);
  }
  const socketLength = Math.min(SOCKET_NAME_LENGTH, Math.floor(room / 2));
  const folderLength = Math.min(FOLDER_NAME_LENGTH, room - socketLength);
  const folder = createHash("sha256").update(basename(path)).digest("hex").slice(0, folderLength);
  const name = randomBytes(SOCKET_NAME_LENGTH).toString("hex").slice(0, socketLength);
  return join(parent, `.${folder}`, name);
}
