/** Folders that only this user can enter, inside a folder that others may write to. */

import { randomBytes } from "node:crypto";
import { constants, mkdirSync, rmdirSync, unlinkSync } from "node:fs";

import { Folder, look } from "./folder.js";
import { attempt } from "./system-error.js";

const MODE = 0o700;

/** The set-gid bit, by which new files inherit the group of the folder. The constants of Node.js lack it. */
const S_ISGID = 0o2000;

/** The permissions of the group and of all others. */
const OTHERS = constants.S_IRWXG | constants.S_IRWXO;

/** Returns a name that nobody can guess. There are too many of them to create all in advance. */
export function randomName(): string {
  return randomBytes(4).toString("hex");
}

/** A folder with a random name. */
export class PrivateFolder extends Folder {
  private constructor(
    private readonly parent: Folder,
    private readonly name: string,
  ) {
    super(parent.at(name), constants.O_NOFOLLOW);
  }

  /**
   * Creates a private folder.
   *
   * @param prefix the start of its name, by which `sweep` finds it after its server was killed
   * @throws the system error, or Error: another folder took its place
   */
  static create(parent: Folder, prefix: string): PrivateFolder {
    const name = prefix + randomName();
    mkdirSync(parent.at(name), MODE);
    const folder = new PrivateFolder(parent, name);
    if (!isPrivate(folder)) {
      folder.close();
      throw new Error("another folder took its place");
    }
    const { mode } = folder.status();
    if ((mode & MODE) !== MODE) {
      folder.setMode(MODE | (mode & S_ISGID)); // the umask cleared some bits; chmod(2) may clear the set-gid bit
    }
    return folder;
  }

  /**
   * Removes the folder with its sockets, and closes it. The next server removes what stays. Calling it twice is
   * harmless.
   */
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

/** Removes the private folders of killed servers. Call it only while you hold the lock of the path. */
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

/** Returns whether the folder belongs to this user and no other user can create files in it. */
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
