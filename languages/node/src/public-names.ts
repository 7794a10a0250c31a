/** The names in the folder by which others find the sockets of a server. */

import { linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { join } from "node:path";

import { type Folder, look } from "./folder.js";
import { pathState } from "./path-state.js";
import { PrivateFolder } from "./private-folder.js";
import { attempt } from "./system-error.js";

/** Device and inode, which no two files share at a time. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Whether both are the same file, or both are none. */
export function isSame(one: Identity | undefined, other: Identity | undefined): boolean {
  return one?.dev === other?.dev && one?.ino === other?.ino;
}

/**
 * The public names of a server's sockets. Change them only while you hold the lock: without it, a successor may put its own there
 * between a look and a change.
 */
export class PublicNames {
  private readonly own = new Map<string, Identity>();
  private kept: PrivateFolder | undefined;

  /** @param prefix how the name of a private folder begins */
  constructor(
    private readonly folder: Folder,
    private readonly prefix: string,
  ) {}

  /** Renames a socket from its private path to a public name. */
  give(name: string, privatePath: string): void {
    this.own.set(name, lstatSync(privatePath, { bigint: true }));
    renameSync(privatePath, this.folder.at(name));
  }

  /** Whether what is at the name, or at another path of it, is still this server's. */
  isOwn(name: string, path = this.folder.at(name)): boolean {
    return this.own.has(name) && isSame(look(path), this.own.get(name));
  }

  /** Removes those that are still this server's. */
  remove(): void {
    for (const name of this.own.keys()) {
      attempt(() => {
        if (this.isOwn(name)) {
          unlinkSync(this.folder.at(name));
        }
      });
    }
  }

  /**
   * Gives the sockets further names, hard links in a private folder, which `restore` needs where a successor dies with the public
   * ones. Where the file system has no hard links, such a server serves on and no new client finds it.
   */
  keep(): void {
    attempt(() => {
      const kept = PrivateFolder.create(this.folder, this.prefix);
      this.kept = kept;
      for (const name of this.own.keys()) {
        if (this.isOwn(name)) {
          linkSync(this.folder.at(name), kept.at(name));
        }
      }
    });
  }

  /** Gives the sockets their public names again, where nothing has those or nobody listens. */
  async restore(): Promise<void> {
    const { kept } = this;
    if (kept === undefined) {
      return;
    }
    for (const name of this.own.keys()) {
      if (await this.isVacant(name)) {
        attempt(() => {
          renameSync(kept.at(name), this.folder.at(name));
        });
      }
    }
    this.forgetKept();
  }

  /** Whether the sockets have further names: a successor may have taken the public ones. */
  get areKept(): boolean {
    return this.kept !== undefined;
  }

  /** Removes the further names. */
  forgetKept(): void {
    this.kept?.remove();
    this.kept = undefined;
  }

  private async isVacant(name: string): Promise<boolean> {
    try {
      if (this.isOwn(name)) {
        return false;
      }
      const { kind } = await pathState(join(this.folder.path, name)); // by the open folder it may be too long to dial
      return kind === "absent" || kind === "stale";
    } catch {
      return false; // it can't be seen; or the folder is closed, as the server goes
    }
  }
}
