/** It failed: what went wrong, the value and the remedy, in one line. The program exits with 1. */
export class SamehostError extends Error {}

/** Another server has the path. */
export class SocketInUseError extends SamehostError {}

/** It was used wrongly, and nothing was done. The program exits with 2. */
export class UsageError extends SamehostError {}

/** The name of a system error, such as ENOENT; "" for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What any thrown value says of itself. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
