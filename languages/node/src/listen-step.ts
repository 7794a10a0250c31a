/** The steps of listening on a path, and the errors of those that the system refuses. */

import { SamehostError } from "./errors.js";
import { errorMessage } from "./system-error.js";

/**
 * Runs a step of listening on a path.
 *
 * @param describe returns the cause and the remedy of a failure, from the reason of the system
 * @throws SamehostError: the step failed
 */
export function runStep<Result>(path: string, step: () => Result, describe: (reason: string) => string): Result {
  try {
    return step();
  } catch (cause) {
    throw stepError(path, cause, describe);
  }
}

/** Returns the error of a server that cannot bind its socket, or the one for its successors. */
export function bindError(path: string, cause: unknown): SamehostError {
  const describe = (reason: string): string =>
    `cannot bind a socket: ${reason}; use a file system that has sockets and space`;
  return stepError(path, cause, describe);
}

function stepError(path: string, cause: unknown, describe: (reason: string) => string): SamehostError {
  return new SamehostError(`cannot listen on ${path}: ${describe(errorMessage(cause))}`, { cause });
}
