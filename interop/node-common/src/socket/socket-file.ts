/** The life of a socket's file, as PROTOCOL.md has it: private, public, removed. */

import { createHash } from "node:crypto";
import { chmodSync, chownSync } from "node:fs";
import type { Server } from "node:net";
import { basename, dirname } from "node:path";

import { MAX_PATH_BYTES } from "./address.js";
import { errorMessage, SamehostError, SocketInUseError } from "./errors.js";
import { type Folder, look, openFolder } from "./folder.js";
import { Lock } from "./lock.js";
import { PrivateFolder, randomName, sweep } from "./private-folder.js";
import { describePermissions, formatMode, pathState } from "./probe.js";
import { isSame, PublicNames } from "./public-names.js";
import { controlPathOf, listenForSuccessors, Predecessor, Successors } from "./takeover.js";
import { watch } from "./watch.js";

/** Hexadecimal digits, so that two paths of one folder find each other's private folders once in 4 billion. */
const DIGEST_LENGTH = 8;

/** How long to try for a lock that was just released: a third server may hold it while it finds the path live. */
const RELEASED_LOCK_MS = 2000;

export interface SocketOptions {
  /** The path that clients use. */
  readonly path: string;
  /** Permissions. Connecting takes *write* permission (unix(7)). */
  readonly mode: number;
  /** The group that owns the socket; the process's own if undefined. */
  readonly gid: number | undefined;
  /** Serve in a folder that every user may write to, who could replace the socket; a line on stderr says so. */
  readonly trustFolder: boolean;
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
 *
 * Everything is named relative to folders that are held open: another user who may write to the folder can replace what is
 * there, and still can't make the server change or remove a file of somebody else.
 */
export class SocketFile {
  /** Resolves when a successor serves at the path: it is time to stop. */
  readonly takenOver: Promise<void>;
  private handedOver: () => void = () => undefined;

  /** Rejected when someone has removed the path and the server is to stop then. */
  readonly removed: Promise<never>;
  private failRemoved: (error: SamehostError) => void = () => undefined;

  private readonly name: string;
  private readonly controlPath: string | undefined;
  private readonly folder: Folder;
  private readonly privatePrefix: string;
  private readonly names: PublicNames;
  private readonly withdrawn = new AbortController();
  private lock: Lock | undefined;
  private predecessor: Predecessor | undefined;
  private found: ReturnType<typeof look>;
  private privateFolder: PrivateFolder | undefined;
  private boundPath = "";
  private control: { path: string; boundPath: string; listener: Server } | undefined;
  private successors: Successors | undefined;

  /**
   * Opens the folder of the socket, and refuses one that every user may write to.
   *
   * @param owner the implementation, for the error message of whoever comes second
   */
  constructor(
    private readonly options: SocketOptions,
    private readonly owner: string,
  ) {
    this.name = basename(options.path);
    this.controlPath = controlPathOf(options.path);
    this.folder = openFolder(options.path, options.trustFolder);
    this.privatePrefix = `.${createHash("sha256").update(this.name).digest("hex").slice(0, DIGEST_LENGTH)}`;
    this.names = new PublicNames(this.folder, this.privatePrefix);
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
      const folder = this.makePrivateFolder();
      this.boundPath = this.privatePathIn(folder);
      if (this.controlPath !== undefined) {
        const boundPath = this.privatePathIn(folder);
        const listener = await listenForSuccessors(boundPath, this.options.path);
        this.control = { path: this.controlPath, boundPath, listener };
      }
    } catch (error) {
      this.withdraw();
      throw error;
    }
    return this.boundPath;
  }

  /** Gives the bound socket its group and mode and renames it onto the path; from now on it is found. */
  publish(): void {
    const { path, mode, gid } = this.options;
    try {
      if (gid !== undefined) {
        chownSync(this.boundPath, -1, gid);
      }
      chmodSync(this.boundPath, mode);
      this.refuseWhatCameMeanwhile();
      // The socket for successors first: if this fails, or the process dies here, a predecessor still has its path.
      if (this.control !== undefined) {
        this.names.give(basename(this.control.path), this.control.boundPath);
      }
      this.names.give(this.name, this.boundPath);
    } catch (error) {
      if (error instanceof SamehostError) {
        throw error;
      }
      throw new SamehostError(
        `cannot publish ${path} with mode ${formatMode(mode)} and group ${gid ?? "unchanged"}: ` +
          `${errorMessage(error)}; ${describePermissions(path)}; only a group that this process is in can be given`,
        { cause: error },
      );
    }
    this.privateFolder?.remove();
    // Only now: whoever hears of it may remove or rename what is beside the path.
    this.predecessor?.tellPublished();
    this.predecessor = undefined;
    this.listenToSuccessors();
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
      this.names.remove();
    }
    this.names.forgetKept();
    this.privateFolder?.remove();
    this.folder.close();
    this.lock?.release();
    this.lock = undefined;
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
    const { signal } = this.withdrawn;
    const lock = await Lock.take(this.folder, this.options.path, this.owner, withinMs, signal);
    if (signal.aborted) {
      lock.release();
      throw new SamehostError(`the server of ${this.options.path} was stopped while it started`);
    }
    this.lock = lock;
  }

  private async refuseWhatIsNotStale(): Promise<void> {
    const { path } = this.options;
    this.found = look(this.folder.at(this.name));
    // Not by the open folder: that may make the path too long to dial.
    switch (await pathState(path)) {
      case "not a socket":
        throw new SamehostError(`${path} exists and is not a socket; move it away or choose another path`);
      case "live":
        if (this.predecessor !== undefined) {
          return;
        }
        if (this.options.takeover) {
          // Somebody has removed the lock file that its server holds, or flock(1) does not see its lock: Java has record locks alone.
          // It may be waiting for this lock.
          this.lock?.release();
          this.lock = undefined;
          this.predecessor = await Predecessor.ask(path);
          await this.takeLock(RELEASED_LOCK_MS);
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

  private refuseWhatCameMeanwhile(): void {
    const now = look(this.folder.at(this.name));
    // The time too: a file that is made where another was removed often gets its inode.
    if (now !== undefined && !(isSame(now, this.found) && now.mtimeNs === this.found?.mtimeNs)) {
      throw new SocketInUseError(
        `someone put another file at ${this.options.path} while this server started; it is kept: ` +
          `move it away or choose another path`,
      );
    }
  }

  private refuseForeignControl(): void {
    const { controlPath } = this;
    if (controlPath !== undefined && look(this.folder.at(basename(controlPath)))?.isSocket() === false) {
      throw new SamehostError(
        `${controlPath} is needed to hand ${this.options.path} over and is not a socket; ` +
          `move it away or choose another path`,
      );
    }
  }

  private makePrivateFolder(): PrivateFolder {
    const { path } = this.options;
    if (this.predecessor === undefined) {
      sweep(this.folder, this.privatePrefix); // a predecessor keeps its sockets' names in one
    }
    try {
      return (this.privateFolder = PrivateFolder.create(this.folder, this.privatePrefix));
    } catch (error) {
      throw new SamehostError(
        `cannot create a private folder beside ${path}: ${errorMessage(error)}; ` +
          `${describePermissions(dirname(path))}; let this process write there`,
        { cause: error },
      );
    }
  }

  /**
   * A path to bind. Its name is random, as libuv unlinks the name that it bound when a listener of Node.js closes, whatever is
   * there by then.
   */
  private privatePathIn(folder: PrivateFolder): string {
    const path = folder.at(randomName());
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      // Not on Linux, where the folder is a number. libuv would cut the path off in silence.
      throw new SamehostError(
        `${this.options.path} leaves no room for a private name beside it; choose a folder with a shorter name`,
      );
    }
    return path;
  }

  private listenToSuccessors(): void {
    if (this.control !== undefined) {
      this.successors = new Successors(this.control.listener, {
        path: this.options.path,
        release: () => this.release(),
        retake: (withinMs) => this.retake(withinMs),
        handedOver: this.handedOver,
      });
    }
  }

  /** Lets a successor have the lock; false where this server has none, as it goes. */
  private release(): boolean {
    if (this.lock === undefined) {
      return false;
    }
    this.names.keep();
    this.lock.release();
    this.lock = undefined;
    return true;
  }

  /** Tries to take the lock again when a successor has failed; true also where it is needed no more. */
  private async retake(withinMs: number): Promise<boolean> {
    const { signal } = this.withdrawn;
    if (signal.aborted) {
      return true;
    }
    try {
      await this.takeLock(withinMs);
    } catch (error) {
      if (!(error instanceof SamehostError)) {
        throw error;
      }
      return signal.aborted; // otherwise another process holds it, or no descriptor is left
    }
    await this.names.restore();
    return true;
  }

  /** Never while a successor may have the lock: what is at the path may be its own then, and a takeover is no loss. */
  private isLost(): boolean {
    return this.lock !== undefined && !this.names.areKept && !this.names.isOwn(this.name, this.options.path);
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
}
