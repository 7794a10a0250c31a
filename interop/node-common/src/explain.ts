/** Explains a call or a wait that failed, in one line with the remedy. */

import { diagnose, NoServerError, probe } from "samehost";

import { FailureError } from "./errors.js";

/** Throws the cause if a client cannot connect and a server that starts later would not help. */
export async function checkWaitingHelps(path: string): Promise<void> {
  const reason = await probe(path);
  if (reason !== undefined && !(reason instanceof NoServerError)) {
    throw reason;
  }
}

/**
 * Explains a failed call: returns why the client cannot connect, or otherwise the status of the call.
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
      `no answer from ${path} before the deadline: ${message}; use a longer timeout, or check the log of the server`,
    );
  }
  return new FailureError(`${path} answered ${code}: ${message}`);
}

/** Explains why a server was not ready in time. */
export async function notReady(path: string, seconds: number): Promise<Error> {
  return (
    (await diagnose(path)) ??
    new FailureError(
      `the server on ${path} answers but was not ready within ${seconds} s; wait longer, or check its log`,
    )
  );
}
