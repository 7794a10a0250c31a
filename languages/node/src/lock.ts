/** The exclusive lock on a file beside the socket. It keeps two servers off one path. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";

import { LockFileError, SamehostError, SocketInUseError } from "./errors.js";
import type { Folder } from "./folder.js";
import { runStep } from "./listen-step.js";
import { describePermissions, formatMode } from "./path-state.js";
import { errorCode, errorMessage } from "./system-error.js";

/** The exit code of flock(1) when another process holds the lock. */
const HELD_BY_ANOTHER = 1;

/** The errors of opening a link, a folder or a socket. */
const NOT_REGULAR = ["ELOOP", "EISDIR", "ENXIO"];

const MODE = 0o600;

const MAX_RECORD_BYTES = 4096;

/**
 * Keeps `<socketPath>.lock` locked from `take` to `release`. The system releases the lock when the process dies.
 *
 * Node.js has no function to lock a file (nodejs/node 122). A lock of flock(2) belongs to the open file and not to the
 * process that took it. So flock(1), of util-linux or busybox, locks a descriptor that it inherits, and this process
 * keeps the lock by keeping the descriptor open. The other kind of lock in PROTOCOL.md, a record lock, cannot be taken
 * this way.
 *
 * The file is not removed with the lock. Otherwise one server could lock the removed file while the next one locks a
 * new file. Its content only describes the owner in error messages.
 *
 * Anyone who can open the file can lock it. It must therefore be a regular file with one name and mode 0600 that
 * belongs to this user, root or the owner of the folder.
 */
export class Lock {
  private readonly path: string;
  private descriptor: number | undefined;

  /**
   * @param folder the folder of the socket
   * @param owner the name of this server, for the content of the file
   * @param signal stops waiting for the lock
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
   * @param withinMs the time to wait while another process holds the lock; 0 tries once
   * @throws SocketInUseError: another process holds the lock
   * @throws LockFileError: the file cannot be opened, holds other data, or another user can lock it
   * @throws SamehostError: flock(1) is missing, or another operation of the system failed
   */
  async take(withinMs: number): Promise<void> {
    const descriptor = this.open();
    try {
      this.secure(descriptor);
      await this.flock(descriptor, withinMs);
      this.write(descriptor);
      if (this.signal.aborted) {
        throw new SamehostError(
          `cannot listen on ${this.socketPath}: this server was stopped during its start; start it again`,
        );
      }
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    this.descriptor = descriptor;
  }

  /** Lets the next server take the lock. Calling it twice is harmless. */
  release(): void {
    if (this.descriptor !== undefined) {
      closeSync(this.descriptor);
      this.descriptor = undefined;
    }
  }

  private open(): number {
    try {
      // O_NONBLOCK, because opening a FIFO could block.
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      return openSync(this.folder.at(basename(this.path)), flags, MODE);
    } catch (error) {
      if (NOT_REGULAR.includes(errorCode(error))) {
        throw this.notRegular(error);
      }
      throw this.fileError(
        `cannot open ${this.path}: ${errorMessage(error)}: ${describePermissions(this.path)}; ` +
          `start this server as that user, or use a folder with write permission and space`,
        error,
      );
    }
  }

  /** Sets the mode, and refuses a file that another user can lock. */
  private secure(descriptor: number): void {
    const found = fstatSync(descriptor);
    if (!found.isFile() || found.nlink !== 1) {
      throw this.notRegular();
    }
    if (![process.geteuid?.(), 0, this.folder.status().uid].includes(found.uid)) {
      throw this.fileError(
        `${this.path} belongs to uid ${found.uid}, who could block this server; ` +
          `remove it or use a folder that only this user can write to`,
      );
    }
    try {
      fchmodSync(descriptor, MODE);
    } catch (error) {
      const mode = formatMode(found.mode);
      if (mode !== formatMode(MODE)) {
        throw this.fileError(
          `${this.path} has mode ${mode}, so that other users could lock it: ${errorMessage(error)}; ` +
            `run chmod 600 ${this.path}`,
          error,
        );
      }
    }
  }

  private notRegular(cause?: unknown): LockFileError {
    return this.fileError(`${this.path} is not a regular file with one name; remove it or use another path`, cause);
  }

  private fileError(message: string, cause?: unknown): LockFileError {
    return new LockFileError(`cannot listen on ${this.socketPath}: ${message}`, { cause });
  }

  private async flock(descriptor: number, withinMs: number): Promise<void> {
    // A timeout kills a waiting flock(1), because the one of busybox has no option `-w`. If it has just taken the lock,
    // the lock ends with the descriptor, which `take` closes.
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
        `cannot listen on ${this.socketPath}: cannot start flock(1): ${errorMessage(error)}; install util-linux`,
        { cause: error },
      );
    }
    if (status === HELD_BY_ANOTHER || (flock.killed && status === null)) {
      throw new SocketInUseError(
        `cannot listen on ${this.socketPath}: ${ownerIn(descriptor) ?? "another process"} holds ${this.path}; ` +
          `stop that server, replace it with takeover, or use another path`,
      );
    }
    if (status !== 0) {
      throw new SamehostError(
        `cannot listen on ${this.socketPath}: cannot lock ${this.path}: ` +
          `flock(1) ended with ${status ?? flock.signalCode}; use a file system that has locks`,
      );
    }
  }

  private write(descriptor: number): void {
    if (fstatSync(descriptor).size > 0 && ownerIn(descriptor) === undefined) {
      throw this.fileError(`${this.path} holds the data of another program; move it or use another path`);
    }
    ftruncateSync(descriptor);
    const record = `${JSON.stringify({ pid: process.pid, host: hostname(), implementation: this.owner })}\n`;
    runStep(
      this.socketPath,
      () => writeSync(descriptor, record, 0),
      (reason) => `cannot write ${this.path}: ${reason}; free space on its file system`,
    );
  }
}

/** Returns the owner that the file describes, or undefined if no server wrote it. */
function ownerIn(descriptor: number): string | undefined {
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
