/** What the system says of its own. */

import { getSystemErrorMap } from "node:util";

/** The name of a system error, such as ENOENT; "" for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * What any thrown value says of itself. Of a system error it is the system's text alone, as in "permission denied": Node.js adds
 * the path, which may be one in /proc that tells nobody anything.
 */
export function errorMessage(error: unknown): string {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") {
    return getSystemErrorMap().get(error.errno)?.[1] ?? error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Does what does no harm where it fails. */
export function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // as the caller says
  }
}
