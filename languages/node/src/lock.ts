/** The exclusive lock on a sidecar file that keeps two servers off one path. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";

import { LockFileError, SamehostError, SocketInUseError } from "./errors.js";
import type { Folder } from "./folder.js";
import { describePermissions, formatMode } from "./path-state.js";
import { errorMessage } from "./system-error.js";

/** What flock(1) exits with when someone else holds the lock. */
const HELD_BY_ANOTHER = 1;

const MODE = 0o600;

const MAX_RECORD_BYTES = 4096;

/**
 * Holds `<socketPath>.lock` locked from `take` to `release`; the system releases it when the process dies.
 *
 * Node.js can't lock files (nodejs/node 122). But a lock of flock(2) belongs to the open file and not to the process that
 * took it, so flock(1), of util-linux or busybox, takes it on a descriptor that it inherits, and this process keeps it by
 * keeping the descriptor. A record lock, the other kind in PROTOCOL.md, can't be had in this way.
 *
 * The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
 * locks a new one. What it says of its owner is only there to be read.
 *
 * Whoever may open the file may lock it, so it must be this server's alone: a regular file with one name and mode 0600, of this
 * user, of root or of the folder's owner.
 */
export class Lock {
  private readonly path: string;
  private descriptor: number | undefined;

  /**
   * @param folder that of the socket
   * @param owner who serves, for the file
   * @param signal ends the trying
   */
  constructor(
    private readonly folder: Folder,
    private readonly socketPath: string,
    private readonly owner: string,
    private readonly signal: AbortSignal,
  ) {
    this.path = `${socketPath}.lock`;
  }

  get isHeld(): boolean {
    return this.descriptor !== undefined;
  }

  /**
   * Takes the lock.
   *
   * @param withinMs how long to try while someone else holds it; 0 tries once
   */
  async take(withinMs: number): Promise<void> {
    const descriptor = this.open();
    try {
      this.refuseWhatOthersMayLock(descriptor);
      await this.flock(descriptor, withinMs);
      this.write(descriptor);
      if (this.signal.aborted) {
        throw new SamehostError(`the server of ${this.socketPath} was stopped while it started`);
      }
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    this.descriptor = descriptor;
  }

  /** Lets the next server have the path; doing it twice is harmless. */
  release(): void {
    if (this.descriptor !== undefined) {
      closeSync(this.descriptor);
      this.descriptor = undefined;
    }
  }

  private open(): number {
    try {
      // O_NONBLOCK: someone may have put a FIFO there.
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      return openSync(this.folder.at(basename(this.path)), flags, MODE);
    } catch (error) {
      throw new LockFileError(
        `cannot open the lock file ${this.path}: ${errorMessage(error)}; ${describePermissions(this.path)}; ` +
          `let this process write there`,
        { cause: error },
      );
    }
  }

  private refuseWhatOthersMayLock(descriptor: number): void {
    const found = fstatSync(descriptor);
    if (!found.isFile() || found.nlink !== 1) {
      throw new LockFileError(
        `${this.path} is needed as a lock file and is no regular file with one name; ` +
          `remove it, or choose another name for the socket`,
      );
    }
    if (![process.geteuid?.(), 0, this.folder.status().uid].includes(found.uid)) {
      throw new LockFileError(
        `the lock file ${this.path} belongs to uid ${found.uid}, who could keep this server from starting; ` +
          `remove it, or choose a folder that only this user may write to`,
      );
    }
    try {
      fchmodSync(descriptor, MODE);
    } catch (error) {
      if (formatMode(found.mode) !== formatMode(MODE)) {
        throw new LockFileError(
          `the lock file ${this.path} has mode ${formatMode(found.mode)}, and others could hold it; ` +
            `run chmod 600 ${this.path}`,
          { cause: error },
        );
      }
    }
  }

  private async flock(descriptor: number, withinMs: number): Promise<void> {
    // Where it waits, it is killed in time: the flock of busybox has no `-w`. If that is just when it has got the lock, that
    // goes with the descriptor, which `take` closes.
    const options = withinMs > 0 ? { timeout: withinMs } : {};
    let flock: ChildProcess;
    let status: number | null;
    try {
      flock = spawn("flock", withinMs > 0 ? ["-x", "3"] : ["-x", "-n", "3"], {
        ...options,
        signal: this.signal,
        stdio: ["ignore", "ignore", "ignore", descriptor],
      });
      [status] = (await once(flock, "exit")) as [number | null];
    } catch (error) {
      throw new SamehostError(
        `cannot lock ${this.path}: the command flock does not start: ${errorMessage(error)}; ` +
          `install util-linux, which has it`,
        { cause: error },
      );
    }
    if (status === HELD_BY_ANOTHER || (flock.killed && status === null)) {
      throw new SocketInUseError(
        `${this.socketPath} has a server already: ${holder(descriptor) ?? "someone"} holds ${this.path}; ` +
          `stop that server or choose another path`,
      );
    }
    if (status !== 0) {
      throw new SamehostError(
        `cannot lock ${this.path}: flock exited with ${status ?? flock.signalCode}; ` +
          `choose a folder on a file system that has locks`,
      );
    }
  }

  private write(descriptor: number): void {
    if (fstatSync(descriptor).size > 0 && holder(descriptor) === undefined) {
      throw new LockFileError(
        `${this.path} is needed as a lock file and holds something else; ` +
          `choose another name for the socket, or move that file away`,
      );
    }
    ftruncateSync(descriptor);
    const record = `${JSON.stringify({ pid: process.pid, host: hostname(), implementation: this.owner })}\n`;
    try {
      writeSync(descriptor, record, 0);
    } catch (error) {
      throw new SamehostError(
        `cannot write the lock file ${this.path}: ${errorMessage(error)}; make room on its file system`,
        { cause: error },
      );
    }
  }
}

/** What the file says of its owner; undefined where it says nothing that a server wrote. */
function holder(descriptor: number): string | undefined {
  const buffer = Buffer.alloc(MAX_RECORD_BYTES);
  const size = readSync(descriptor, buffer, 0, MAX_RECORD_BYTES, 0);
  let record: unknown;
  try {
    record = JSON.parse(buffer.toString("utf8", 0, size));
  } catch {
    return undefined;
  }
  if (typeof record !== "object" || record === null) {
    return undefined;
  }
  if (!("implementation" in record && "pid" in record && "host" in record)) {
    return undefined;
  }
  return `${String(record.implementation)}, process ${String(record.pid)} on host ${String(record.host)},`;
}
