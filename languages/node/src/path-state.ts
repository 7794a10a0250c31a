/** What is at the path of a socket, found out by looking and dialling. */

import { once } from "node:events";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

import { SamehostError } from "./errors.js";
import { errorCode, errorMessage } from "./system-error.js";

/** What is at a path, and the system's error that tells it. */
export interface PathState {
  readonly kind: "absent" | "not a socket" | "stale" | "forbidden" | "live";
  readonly cause?: unknown;
}

/**
 * Looks at the path and, where it is a socket, dials it; changes nothing. A socket that is bound but does not listen yet
 * looks stale (connect(2) gives ECONNREFUSED for both), which is why servers are kept apart by a lock and not by this.
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
        throw new SamehostError(`cannot look at ${path}: ${errorMessage(cause)}; check the folder it is in`, { cause });
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
      default: // EAGAIN: its backlog is full, so someone listens
        return { kind: "live" };
    }
  } finally {
    probe.destroy();
  }
}

/** Says whose the path is (or, where it can't be seen, the folder above), with which mode, and who asks. */
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
        return `nothing above ${path} can be seen: ${errorMessage(error)}`;
      }
    }
  }
}

/** Permissions as people write them. */
export function formatMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

function ownGroups(): number[] {
  const groups = new Set([process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]);
  return [...groups].sort((one, other) => one - other);
}
