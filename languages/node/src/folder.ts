/** Folders that stay open, so that nobody can replace one between two steps. */

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
 * The flag of open(2) that needs no permission to read the folder. The constants of Node.js lack it. Only Linux has it,
 * with this value on every architecture that Node.js supports.
 */
const O_PATH = process.platform === "linux" ? 0o10000000 : constants.O_RDONLY;

/** The sticky bit. The constants of Node.js lack it too. */
const S_ISVTX = 0o1000;

/**
 * An open folder. `at(name)` is a path that stays valid when the folder is renamed: Linux resolves
 * `/proc/self/fd/N/name` from the open descriptor. On systems without /proc, such as macOS, it is the ordinary path.
 */
export class Folder {
  private readonly descriptor: number;
  private readonly prefix: string;
  protected isOpen = true;

  /** @throws the system error: the folder cannot be opened */
  constructor(
    readonly path: string,
    flags = 0,
  ) {
    this.descriptor = openSync(path, O_PATH | constants.O_DIRECTORY | flags);
    const prefix = `/proc/self/fd/${this.descriptor}`;
    this.prefix = existsSync(prefix) ? prefix : path;
  }

  at(name: string): string {
    if (!this.isOpen) {
      throw new Error(`the folder of ${name} is closed`); // another file may have its descriptor by now
    }
    return join(this.prefix, name);
  }

  /** Returns the owner and the mode. */
  status(): Stats {
    return fstatSync(this.descriptor);
  }

  /** Returns the names in the folder, or none if this process cannot read it. */
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

  /** Closes the descriptor. Calling it twice is harmless. */
  close(): void {
    if (this.isOpen) {
      this.isOpen = false;
      closeSync(this.descriptor);
    }
  }
}

/**
 * Opens the folder of a socket.
 *
 * @throws UnsafeFolderError: every user can write to the folder, and so replace the sockets in it (unlink(2)). The
 *   sticky bit prevents that, and `isTrusted` turns the error into a warning.
 * @throws SamehostError: the folder does not exist or cannot be opened
 */
export function openFolder(socketPath: string, isTrusted: boolean, warn: (message: string) => void): Folder {
  const path = dirname(socketPath);
  const folder = open(path, socketPath);
  const { mode } = folder.status();
  if ((mode & constants.S_IWOTH) !== 0 && (mode & S_ISVTX) === 0) {
    const fault = `every user can replace the socket, because ${path} has mode ${formatMode(mode)}`;
    if (!isTrusted) {
      folder.close();
      throw new UnsafeFolderError(`cannot listen on ${socketPath}: ${fault}; run chmod o-w ${path}`);
    }
    warn(`listening on ${socketPath} is unsafe: ${fault}`);
  }
  return folder;
}

function open(path: string, socketPath: string): Folder {
  try {
    return new Folder(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") {
      throw new SamehostError(
        `cannot listen on ${socketPath}: the folder ${path} does not exist; create it or mount it`,
        { cause: error },
      );
    }
    throw new SamehostError(
      `cannot listen on ${socketPath}: cannot open its folder: ${errorMessage(error)}: ${describePermissions(path)}; ` +
        `give this process search permission`,
      { cause: error },
    );
  }
}

/** Returns the status of a path without following a link, or undefined if nothing exists there or it is not visible. */
export function look(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}
