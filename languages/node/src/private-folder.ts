/** Folders that only this user may enter, in one that others may write to. */

import { randomBytes } from "node:crypto";
import { constants, mkdirSync, rmdirSync, unlinkSync } from "node:fs";

import { Folder, look } from "./folder.js";
import { attempt } from "./system-error.js";

const MODE = 0o700;

/** The bit by which the group of a folder is inherited; the constants of Node.js lack it. */
const S_ISGID = 0o2000;

/** The permissions of the group and of all others. */
const OTHERS = constants.S_IRWXG | constants.S_IRWXO;

/** A name that nobody can guess, one of more than anybody can create first. */
export function randomName(): string {
  return randomBytes(4).toString("hex");
}

/** A new folder with a random name. */
export class PrivateFolder extends Folder {
  private constructor(
    private readonly parent: Folder,
    private readonly name: string,
  ) {
    super(parent.at(name), constants.O_NOFOLLOW);
  }

  /**
   * Creates it.
   *
   * @param prefix how its name begins, so that `sweep` finds it when its server was killed
   * @throws what the system says where it refuses, and an Error where someone has put another folder in its place
   */
  static create(parent: Folder, prefix: string): PrivateFolder {
    const name = prefix + randomName();
    mkdirSync(parent.at(name), MODE);
    const folder = new PrivateFolder(parent, name);
    if (!isPrivate(folder)) {
      folder.close();
      throw new Error("someone has put another in its place");
    }
    const { mode } = folder.status();
    if ((mode & MODE) !== MODE) {
      folder.setMode(MODE | (mode & S_ISGID)); // the umask took some; chmod(2) may clear the bit that hands a group down
    }
    return folder;
  }

  /** Removes the sockets in it and the folder, and closes it; doing it twice is harmless. The next server removes what stays. */
  remove(): void {
    if (this.isOpen) {
      empty(this);
      this.close();
      attempt(() => {
        rmdirSync(this.parent.at(this.name));
      });
    }
  }
}

/** Removes the private folders that killed servers have left. Call it only while you hold the lock of the path. */
export function sweep(parent: Folder, prefix: string): void {
  for (const name of parent.names().filter((each) => each.startsWith(prefix))) {
    attempt(() => {
      const left = new Folder(parent.at(name), constants.O_NOFOLLOW);
      try {
        if (isPrivate(left)) {
          empty(left);
          rmdirSync(parent.at(name));
        }
      } finally {
        left.close();
      }
    });
  }
}

/** Whether the folder is this user's, and nobody else can have put anything there. */
function isPrivate(folder: Folder): boolean {
  const { uid, mode } = folder.status();
  return uid === process.geteuid?.() && (mode & OTHERS) === 0;
}

function empty(folder: Folder): void {
  for (const name of folder.names()) {
    if (look(folder.at(name))?.isSocket() === true) {
      attempt(() => {
        unlinkSync(folder.at(name));
      });
    }
  }
}
