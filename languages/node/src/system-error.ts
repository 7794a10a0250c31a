/** Reads the errors of the system. */

import { getSystemErrorMap } from "node:util";

/** Returns the name of a system error, such as ENOENT, or "" for any other value. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * Returns the message of any thrown value. For a system error, and for one that a library wrapped, this is the text of
 * the system alone, such as "permission denied": Node.js adds the path, and a path in /proc would mean nothing to the
 * reader.
 */
export function errorMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const errno = error instanceof Error && "errno" in error ? error.errno : undefined;
  for (const [number, [name, text]] of getSystemErrorMap()) {
    if (number === errno || message.includes(`${name}: ${text}`)) {
      return text;
    }
  }
  return message;
}

/** Runs an action whose failure does no harm. */
export function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // harmless, as the caller has decided
  }
}
