/** What a call or a wait that was in vain means, in one line with the remedy. */

import { diagnose, NoServerError, probe } from "samehost";

import { FailureError } from "./errors.js";

/** Throws where no server that starts later could help. */
export async function refuseWhatWaitingCannotCure(path: string): Promise<void> {
  const reason = await probe(path);
  if (reason !== undefined && !(reason instanceof NoServerError)) {
    throw reason;
  }
}

/**
 * Says what a failed call means: why the server can't be reached, or else what it answered.
 *
 * @param code the status code as the specification spells it, such as DEADLINE_EXCEEDED
 */
export async function explain(code: string, message: string, path: string): Promise<Error> {
  const reason = code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" ? await diagnose(path) : undefined;
  if (reason !== undefined) {
    return reason;
  }
  if (code === "DEADLINE_EXCEEDED") {
    return new FailureError(
      `no answer from ${path} before the deadline: ${message}; give it more time, or see what keeps it`,
    );
  }
  return new FailureError(`${path} answered ${code}: ${message}`);
}

/** Says why waiting for a server was in vain. */
export async function notReady(path: string, seconds: number): Promise<Error> {
  return (
    (await diagnose(path)) ??
    new FailureError(`a server answers at ${path} and was not ready within ${seconds} s; wait longer, or see its log`)
  );
}
