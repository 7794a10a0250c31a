/** The life of a socket's file, as PROTOCOL.md has it: private, public, removed. */

import { createHash } from "node:crypto";
import { chmodSync, chownSync } from "node:fs";
import { basename, dirname } from "node:path";

import { MAX_PATH_BYTES } from "./address.js";
import { NotSocketError, SamehostError, SocketInUseError } from "./errors.js";
import { type Folder, look, openFolder } from "./folder.js";
import { Handover } from "./handover.js";
import type { ListenOptions } from "./listen.js";
import { Lock } from "./lock.js";
import { describePermissions, formatMode, pathState } from "./path-state.js";
import { PrivateFolder, randomName, sweep } from "./private-folder.js";
import { isSame, PublicNames } from "./public-names.js";
import { errorMessage } from "./system-error.js";
import { controlPathOf, Predecessor } from "./takeover.js";
import { watch } from "./watch.js";

/** Hexadecimal digits, so that two paths of one folder find each other's private folders once in 4 billion. */
const DIGEST_LENGTH = 8;

/** How long to try for a lock that was just released: a third server may hold it while it finds the path live. */
const RELEASED_LOCK_MS = 2000;

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
  takenOver = new Promise<void>(() => undefined);
  /** Resolves when someone has removed the path or put something else there, so that no new client finds the server. */
  removed = new Promise<void>(() => undefined);

  private readonly name: string;
  private readonly mode: number;
  private readonly gid: number | undefined;
  private readonly mayTakeOver: boolean;
  private readonly folder: Folder;
  private readonly privatePrefix: string;
  private readonly names: PublicNames;
  private readonly withdrawn = new AbortController();
  private readonly lock: Lock;
  private readonly handover: Handover | undefined;
  private predecessor: Predecessor | undefined;
  private found: ReturnType<typeof look>;
  private privateFolder: PrivateFolder | undefined;
  private boundPath = "";

  /** Opens the folder of the socket, and refuses one that every user may write to. */
  constructor(
    readonly path: string,
    {
      mode = 0o660,
      gid,
      owner = basename(process.argv[1] ?? process.execPath),
      trustFolder = false,
      takeover = false,
      allowTakeover = takeover,
      onWarning: warn = (message) => {
        process.emitWarning(message);
      },
    }: ListenOptions = {},
  ) {
    this.name = basename(path);
    this.mode = mode;
    this.gid = gid;
    this.mayTakeOver = takeover;
    this.folder = openFolder(path, trustFolder, warn);
    this.privatePrefix = `.${createHash("sha256").update(this.name).digest("hex").slice(0, DIGEST_LENGTH)}`;
    this.names = new PublicNames(this.folder, this.privatePrefix);
    const { folder, names } = this;
    const { signal: withdrawn } = this.withdrawn;
    const lock = (this.lock = new Lock(folder, path, owner, withdrawn));
    const controlPath = controlPathOf(path);
    if ((takeover || allowTakeover) && controlPath !== undefined) {
      this.handover = new Handover(controlPath, { path, folder, names, lock, withdrawn, warn });
    }
  }

  /** Locks the path, sees that nobody serves there or takes it over, and returns the private path to bind. */
  async claim(): Promise<string> {
    try {
      await this.takeLockOrTakeOver();
      await this.refuseWhatIsNotStale();
      const folder = this.makePrivateFolder();
      this.boundPath = this.privatePathIn(folder);
      await this.handover?.bind(this.privatePathIn(folder));
    } catch (error) {
      this.withdraw();
      throw error;
    }
    return this.boundPath;
  }

  /** Gives the bound socket its group and mode and renames it onto the path; from now on it is found. */
  publish(): void {
    const { path, mode, gid } = this;
    try {
      if (gid !== undefined) {
        chownSync(this.boundPath, -1, gid);
      }
      chmodSync(this.boundPath, mode);
      this.refuseWhatCameMeanwhile();
      // The socket for successors first: if this fails, or the process dies here, a predecessor still has its path.
      this.handover?.publish();
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
    this.takenOver = this.handover?.serve() ?? this.takenOver;
    this.removed = watch(() => this.isLost(), this.withdrawn.signal);
  }

  /**
   * Removes the path if it is still this server's own, and lets the next server have it; doing it twice is harmless. Where a
   * successor may have the lock, the names stay: it could put its own there between the look and the removal.
   */
  withdraw(): void {
    this.withdrawn.abort();
    this.handover?.close();
    if (this.lock.isHeld) {
      this.names.remove();
    }
    this.names.forgetKept();
    this.privateFolder?.remove();
    this.folder.close();
    this.lock.release();
    this.predecessor?.giveUp();
  }

  private async takeLockOrTakeOver(): Promise<void> {
    try {
      await this.lock.take(0);
    } catch (error) {
      if (!this.mayTakeOver || !(error instanceof SocketInUseError)) {
        throw error;
      }
      await this.takeOver();
    }
  }

  private async takeOver(): Promise<void> {
    this.predecessor = await Predecessor.ask(this.path);
    await this.lock.take(RELEASED_LOCK_MS);
  }

  private async refuseWhatIsNotStale(): Promise<void> {
    const { path } = this;
    this.found = look(this.folder.at(this.name));
    // Not by the open folder: that may make the path too long to dial.
    const { kind, cause } = await pathState(path);
    switch (kind) {
      case "not a socket":
        throw new NotSocketError(`${path} exists and is not a socket; move it away or choose another path`);
      case "live":
        if (this.predecessor !== undefined) {
          return;
        }
        if (this.mayTakeOver) {
          // Somebody has removed the lock file that its server holds, or flock(1) does not see its lock: Java has record locks alone.
          // It may be waiting for this lock.
          this.lock.release();
          await this.takeOver();
          return;
        }
        throw new SocketInUseError(
          `${path} has a server already: someone answers there without holding ${path}.lock; ` +
            `stop that server or choose another path`,
        );
      case "forbidden":
        throw new SocketInUseError(
          `${path} may have a server: this process is not allowed to ask; ${describePermissions(path)}; ` +
            `remove the file if nobody serves there`,
          { cause },
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
        `someone put another file at ${this.path} while this server started; it is kept: ` +
          `move it away or choose another path`,
      );
    }
  }

  private makePrivateFolder(): PrivateFolder {
    if (this.predecessor === undefined) {
      sweep(this.folder, this.privatePrefix); // a predecessor keeps its sockets' names in one
    }
    try {
      return (this.privateFolder = PrivateFolder.create(this.folder, this.privatePrefix));
    } catch (error) {
      throw new SamehostError(
        `cannot create a private folder beside ${this.path}: ${errorMessage(error)}; ` +
          `${describePermissions(dirname(this.path))}; let this process write there`,
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
        `${this.path} leaves no room for a private name beside it; choose a folder with a shorter name`,
      );
    }
    return path;
  }

  /** Never while a successor may have the lock: what is at the path may be its own then, and a takeover is no loss. */
  private isLost(): boolean {
    return this.lock.isHeld && !this.names.areKept && !this.names.isOwn(this.name, this.path);
  }
}
