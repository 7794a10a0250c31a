/** The life cycle of a socket as PROTOCOL.md defines it: private, public, removed. */

import { createHash } from "node:crypto";
import { chmodSync, chownSync } from "node:fs";
import { basename, dirname } from "node:path";

import { MAX_PATH_BYTES } from "./address.js";
import { NotSocketError, SamehostError, SocketInUseError } from "./errors.js";
import { type Folder, look, openFolder } from "./folder.js";
import { Handover } from "./handover.js";
import { runStep } from "./listen-step.js";
import type { ListenOptions } from "./listen.js";
import { Lock } from "./lock.js";
import { describePermissions, formatMode, pathState } from "./path-state.js";
import { PrivateFolder, randomName, sweep } from "./private-folder.js";
import { isSame, PublicNames } from "./public-names.js";
import { controlPathOf, Predecessor } from "./takeover.js";
import { watch } from "./watch.js";

/** The number of hexadecimal digits. With 8, two sockets in one folder share a prefix once in 4 billion cases. */
const DIGEST_LENGTH = 8;

/** The time to wait for a lock that was just released. A third server may hold it while it finds the path live. */
const RELEASED_LOCK_MS = 2000;

/**
 * The socket of one server. Call `claim`, bind, `publish`, serve until a signal, `takenOver` or `removed`, then call
 * `withdraw`.
 *
 * The socket is bound in a private folder beside the path that no other user can enter. There it gets its mode and
 * group. It is renamed onto the path when the server is ready. So a file at the path belongs to a server that accepts
 * connections, and never has a wider mode.
 *
 * All names are relative to folders that stay open. Another user who can write to the folder can replace the files in
 * it, but cannot make the server change or remove a file of someone else.
 */
export class SocketFile {
  /** Resolves when a successor serves on the path. This server should then stop. */
  takenOver = new Promise<void>(() => undefined);
  /** Resolves when someone removes or replaces the socket, so that new clients cannot connect. */
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

  /** Opens the folder of the socket. */
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

  /** Locks the path, or takes it over from a running server, and returns the private path to bind. */
  async claim(): Promise<string> {
    try {
      await this.takeLockOrTakeOver();
      await this.checkPath();
      const folder = this.makePrivateFolder();
      this.boundPath = this.privatePathIn(folder);
      await this.handover?.bind(this.privatePathIn(folder));
    } catch (error) {
      this.withdraw();
      throw error;
    }
    return this.boundPath;
  }

  /** Sets the group and mode of the bound socket and renames it onto the path, where clients find it. */
  publish(): void {
    const { path, mode, gid, boundPath } = this;
    if (gid !== undefined) {
      runStep(
        path,
        () => {
          chownSync(boundPath, -1, gid);
        },
        (reason) => `cannot set the group ${gid}: ${reason}; use a group of this process`,
      );
    }
    runStep(
      path,
      () => {
        chmodSync(boundPath, mode);
      },
      (reason) => `cannot set the mode ${formatMode(mode)}: ${reason}; use a file system that has permissions`,
    );
    this.checkUnchanged();
    runStep(
      path,
      () => {
        // The socket for successors comes first. If this step fails in between, a predecessor still has its path.
        this.handover?.publish();
        this.names.publish(this.name, boundPath);
      },
      (reason) =>
        `cannot move the socket there: ${reason}: ${describePermissions(path)}; give this process write permission`,
    );
    this.privateFolder?.remove();
    // Only now, because programs that wait for this may change the files beside the path.
    this.predecessor?.reportPublished();
    this.predecessor = undefined;
    this.takenOver = this.handover?.serve() ?? this.takenOver;
    this.removed = watch(() => this.isLost(), this.withdrawn.signal);
  }

  /**
   * Removes the socket if it still belongs to this server, and releases the lock. Calling it twice is harmless. The
   * names stay while a successor may hold the lock, because it could create its own sockets between the check and the
   * removal.
   */
  withdraw(): void {
    this.withdrawn.abort();
    this.handover?.close();
    if (this.lock.isHeld) {
      this.names.remove();
    }
    this.names.unlink();
    this.privateFolder?.remove();
    this.folder.close();
    this.lock.release();
    this.predecessor?.abandon();
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
    this.predecessor = await Predecessor.requestRelease(this.path);
    await this.lock.take(RELEASED_LOCK_MS);
  }

  private async checkPath(): Promise<void> {
    const { path } = this;
    this.found = look(this.folder.at(this.name));
    // Not through the open folder, because such a path may be too long to connect to.
    const { kind, cause } = await pathState(path);
    switch (kind) {
      case "not a socket":
        throw new NotSocketError(
          `cannot listen on ${path}: it exists and is not a socket; move it or use another path`,
        );
      case "live":
        if (this.predecessor !== undefined) {
          return;
        }
        if (this.mayTakeOver) {
          // Someone removed the lock file of that server, or flock(1) cannot see its lock, because Java has only record
          // locks. The server may wait for the lock that this one holds.
          this.lock.release();
          await this.takeOver();
          return;
        }
        throw new SocketInUseError(
          `cannot listen on ${path}: a server that does not hold ${path}.lock answers there; ` +
            `stop that server or use another path`,
        );
      case "forbidden":
        throw new SocketInUseError(
          `cannot listen on ${path}: cannot check for a running server: permission denied: ` +
            `${describePermissions(path)}; remove the socket if no server uses it`,
          { cause },
        );
      case "stale":
      case "absent":
    }
  }

  /** Throws SocketInUseError if the file at the path is not the one that `checkPath` found. */
  private checkUnchanged(): void {
    const now = look(this.folder.at(this.name));
    // Compares the time too, because a new file often gets the inode of one that was removed.
    if (now !== undefined && !(isSame(now, this.found) && now.mtimeNs === this.found?.mtimeNs)) {
      throw new SocketInUseError(
        `cannot listen on ${this.path}: another file appeared there during the start; move it or use another path`,
      );
    }
  }

  private makePrivateFolder(): PrivateFolder {
    if (this.predecessor === undefined) {
      sweep(this.folder, this.privatePrefix); // not in a takeover: a predecessor keeps links to its sockets in one
    }
    this.privateFolder = runStep(
      this.path,
      () => PrivateFolder.create(this.folder, this.privatePrefix),
      (reason) =>
        `cannot create a private folder beside it: ${reason}: ${describePermissions(dirname(this.path))}; ` +
        `give this process write permission, and the file system space`,
    );
    return this.privateFolder;
  }

  /**
   * Returns a path to bind. Its name is random, because libuv unlinks the name that it bound when a listener closes,
   * even if another file has that name by then.
   */
  private privatePathIn(folder: PrivateFolder): string {
    const path = folder.at(randomName());
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      // Never on Linux, where the path starts with a descriptor. libuv would truncate the path without an error.
      throw new SamehostError(
        `cannot listen on ${this.path}: no room for a private folder beside it; use a shorter path`,
      );
    }
    return path;
  }

  /** Returns false while a successor may hold the lock, because the socket at the path may then be its own. */
  private isLost(): boolean {
    return this.lock.isHeld && !this.names.areLinked && !this.names.isOwn(this.name, this.path);
  }
}
