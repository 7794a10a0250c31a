/** The names by which clients and successors find the sockets of a server. */

import { linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import { join } from "node:path";

import { type Folder, look } from "./folder.js";
import { pathState } from "./path-state.js";
import { PrivateFolder } from "./private-folder.js";
import { attempt } from "./system-error.js";

/** Device and inode. No two files share both at the same time. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Returns whether both are the same file, or both are undefined. */
export function isSame(one: Identity | undefined, other: Identity | undefined): boolean {
  return one?.dev === other?.dev && one?.ino === other?.ino;
}

/**
 * The public names of the sockets of a server. Change them only while you hold the lock. Without it, a successor could
 * create its own sockets between the check and the change.
 */
export class PublicNames {
  private readonly own = new Map<string, Identity>();
  private links: PrivateFolder | undefined;

  /** @param prefix the start of the names of private folders */
  constructor(
    private readonly folder: Folder,
    private readonly prefix: string,
  ) {}

  /** Renames a socket from its private path to a public name. */
  publish(name: string, privatePath: string): void {
    this.own.set(name, lstatSync(privatePath, { bigint: true }));
    renameSync(privatePath, this.folder.at(name));
  }

  /**
   * Returns whether the file with this name is still the socket of this server. `path` is another path to the same
   * name.
   */
  isOwn(name: string, path = this.folder.at(name)): boolean {
    return this.own.has(name) && isSame(look(path), this.own.get(name));
  }

  /** Removes the names that still belong to this server. */
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
   * Links the sockets into a private folder. `restore` needs these hard links if a successor dies after it replaced the
   * public names. On a file system without hard links, this server keeps serving then, but new clients cannot connect
   * to it.
   */
  link(): void {
    attempt(() => {
      const links = PrivateFolder.create(this.folder, this.prefix);
      this.links = links;
      for (const name of this.own.keys()) {
        if (this.isOwn(name)) {
          linkSync(this.folder.at(name), links.at(name));
        }
      }
    });
  }

  /** Moves the links back to the public names where nothing exists or no server listens, and removes the rest. */
  async restore(): Promise<void> {
    const { links } = this;
    if (links === undefined) {
      return;
    }
    for (const name of this.own.keys()) {
      if (await this.isVacant(name)) {
        attempt(() => {
          renameSync(links.at(name), this.folder.at(name));
        });
      }
    }
    this.unlink();
  }

  /** Whether links exist, because a successor may have replaced the public names. */
  get areLinked(): boolean {
    return this.links !== undefined;
  }

  /** Removes the links. */
  unlink(): void {
    this.links?.remove();
    this.links = undefined;
  }

  private async isVacant(name: string): Promise<boolean> {
    try {
      if (this.isOwn(name)) {
        return false;
      }
      // Not through the open folder, because such a path may be too long to connect to.
      const { kind } = await pathState(join(this.folder.path, name));
      return kind === "absent" || kind === "stale";
    } catch {
      return false; // not visible, or the folder is closed because the server stops
    }
  }
}
