/** Determines the state of a path: whether a socket exists there and a server listens on it. */

import { once } from "node:events";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

import { SamehostError } from "./errors.js";
import { errorCode, errorMessage } from "./system-error.js";

/** The state of a path, and the system error that shows it. */
export interface PathState {
  readonly kind: "absent" | "not a socket" | "stale" | "forbidden" | "live";
  readonly cause?: unknown;
}

/**
 * Returns the state of a path. Connects if it is a socket, and changes nothing.
 *
 * A socket that is bound but does not listen yet looks stale, because connect(2) fails with ECONNREFUSED for both. This
 * is why a lock, and not this function, keeps two servers off one path.
 */
export async function pathState(path: string): Promise<PathState> {
  try {
    if (!statSync(path).isSocket()) {
      return { kind: "not a socket" };
    }
  } catch (cause) {
    switch (errorCode(cause)) {
      case "ENOENT":
      case "ENOTDIR":
        return { kind: "absent", cause };
      case "EACCES":
        return { kind: "forbidden", cause };
      default:
        throw new SamehostError(`cannot read the status of ${path}: ${errorMessage(cause)}; check its folder`, {
          cause,
        });
    }
  }
  const probe = connect(path);
  try {
    await once(probe, "connect");
    return { kind: "live" };
  } catch (cause) {
    switch (errorCode(cause)) {
      case "ECONNREFUSED":
        return { kind: "stale", cause };
      case "ENOENT":
        return { kind: "absent", cause };
      case "EACCES":
      case "EPERM":
        return { kind: "forbidden", cause };
      default: // EAGAIN: a server listens, and its backlog is full
        return { kind: "live" };
    }
  } finally {
    probe.destroy();
  }
}

/**
 * Describes the owner and mode of the path, or of the nearest folder above it that is visible, and the ids of this
 * process.
 */
export function describePermissions(path: string): string {
  for (let visible = path; ; visible = dirname(visible)) {
    try {
      const { uid, gid, mode } = statSync(visible);
      return (
        `${visible} belongs to uid ${uid} and gid ${gid} with mode ${formatMode(mode)}, ` +
        `and this process is uid ${process.geteuid?.()} with gids ${ownGroups().join(" ")}`
      );
    } catch (error) {
      if (visible === "/") {
        return `no folder above ${path} is visible: ${errorMessage(error)}`;
      }
    }
  }
}

/** Returns the permissions in octal with four digits, such as 0660. */
export function formatMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

function ownGroups(): number[] {
  const groups = new Set([process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]);
  return [...groups].sort((one, other) => one - other);
}
