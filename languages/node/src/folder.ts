/** Folders that are held open, so that nobody can put another in the place of one between two steps. */

import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
} from "node:fs";
import { dirname, join } from "node:path";

import { SamehostError, UnsafeFolderError } from "./errors.js";
import { describePermissions, formatMode } from "./path-state.js";
import { errorCode, errorMessage } from "./system-error.js";

/**
 * The flag of open(2) that needs no permission to read the folder. The constants of Node.js lack it; only Linux has it, with this
 * value on every architecture that Node.js is built for.
 */
const O_PATH = process.platform === "linux" ? 0o10000000 : constants.O_RDONLY;

/** The sticky bit, which the constants of Node.js lack too. */
const S_ISVTX = 0o1000;

/**
 * An open folder. `at(name)` is a path to what is in it, wherever the folder is renamed to: Linux resolves
 * `/proc/self/fd/N/name` from the open descriptor. Where there is no such file system, as on macOS, the path is an ordinary one.
 */
export class Folder {
  private readonly descriptor: number;
  private readonly held: string;
  protected isOpen = true;

  /** @throws what the system says of a folder that can't be opened */
  constructor(
    readonly path: string,
    flags = 0,
  ) {
    this.descriptor = openSync(path, O_PATH | constants.O_DIRECTORY | flags);
    const held = `/proc/self/fd/${this.descriptor}`;
    this.held = existsSync(held) ? held : path;
  }

  at(name: string): string {
    if (!this.isOpen) {
      throw new Error(`a folder that is closed was asked for ${name}`); // its number may be another file's by now
    }
    return join(this.held, name);
  }

  /** The owner and the mode. */
  status(): Stats {
    return fstatSync(this.descriptor);
  }

  /** The names of what is in the folder; none where this process may not read it. */
  names(): string[] {
    try {
      return readdirSync(this.at("."));
    } catch {
      return [];
    }
  }

  setMode(mode: number): void {
    chmodSync(this.at("."), mode); // fchmod(2) refuses a descriptor of O_PATH
  }

  /** Closes the descriptor; doing it twice is harmless. */
  close(): void {
    if (this.isOpen) {
      this.isOpen = false;
      closeSync(this.descriptor);
    }
  }
}

/**
 * Opens the folder of a socket. One that every user may write to is refused, unless it is trusted or has the sticky bit: whoever may
 * write to a folder may replace the sockets in it (unlink(2)).
 */
export function openFolder(socketPath: string, isTrusted: boolean, warn: (message: string) => void): Folder {
  const path = dirname(socketPath);
  const folder = open(path, socketPath);
  const { mode } = folder.status();
  if ((mode & constants.S_IWOTH) !== 0 && (mode & S_ISVTX) === 0) {
    const fault = `every user can replace the socket ${socketPath}: ${path} has mode ${formatMode(mode)}`;
    if (!isTrusted) {
      folder.close();
      throw new UnsafeFolderError(`${fault}; run chmod o-w ${path}`);
    }
    warn(fault);
  }
  return folder;
}

function open(path: string, socketPath: string): Folder {
  try {
    return new Folder(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") {
      throw new SamehostError(`no folder ${path} for the socket ${socketPath}; create it or mount it`, {
        cause: error,
      });
    }
    throw new SamehostError(
      `cannot open the folder of ${socketPath}: ${errorMessage(error)}; ${describePermissions(path)}`,
      { cause: error },
    );
  }
}

/** What is at a path, without following a link; undefined where nothing is, or it can't be seen. */
export function look(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}
