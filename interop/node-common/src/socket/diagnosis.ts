/** Why no gRPC server can be reached at a path, told apart and said in one line with the remedy. */

import { existsSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

import { errorMessage, SamehostError } from "./errors.js";
import { describePermissions, pathState } from "./probe.js";

/** How long a server may take to send its first frame; on one machine it takes less than a millisecond. */
const HANDSHAKE_MS = 1000;

// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0";
const FRAME_HEADER_BYTES = 9;
const TYPE_OFFSET = 3;
const SETTINGS = 4;

/** Says why no gRPC server can be reached, by looking and dialling; undefined where one answers. */
export async function diagnose(path: string): Promise<SamehostError | undefined> {
  switch (await pathState(path)) {
    case "absent":
      return new SamehostError(
        existsSync(dirname(path))
          ? `no socket at ${path}: start its server, or mount the folder that it serves in`
          : `no socket at ${path}: there is no folder ${dirname(path)}; create it or mount it here`,
      );
    case "stale":
      return new SamehostError(
        `nobody listens on ${path}: its server is gone; start it again and it replaces the file`,
      );
    case "forbidden":
      return new SamehostError(
        `no permission to connect to ${path}: ${describePermissions(path)}; connecting takes write permission: ` +
          `run in that group, or serve with another --group or --mode`,
      );
    case "not a socket":
      return new SamehostError(`${path} is not a socket; give the path that the server was started with`);
    case "live":
      return diagnoseProtocol(path);
  }
}

/** Throws where no server that starts later could help. */
export async function refuseWhatWaitingCannotCure(path: string): Promise<void> {
  const state = await pathState(path);
  if (state === "not a socket" || state === "forbidden") {
    const reason = await diagnose(path);
    if (reason !== undefined) {
      throw reason;
    }
  }
}

/**
 * Says what a failed call means: why the server can't be reached, or else what it answered.
 *
 * @param code the status code as the specification spells it, such as DEADLINE_EXCEEDED
 */
export async function explain(code: string, message: string, path: string): Promise<SamehostError> {
  const reason = code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" ? await diagnose(path) : undefined;
  if (reason !== undefined) {
    return reason;
  }
  if (code === "DEADLINE_EXCEEDED") {
    return new SamehostError(
      `no answer from ${path} before the deadline: ${message}; give it more time, or see what keeps it`,
    );
  }
  return new SamehostError(`${path} answered ${code}: ${message}`);
}

/** Says why waiting for a server was in vain. */
export async function notReady(path: string, seconds: number): Promise<SamehostError> {
  return (
    (await diagnose(path)) ??
    new SamehostError(`a server answers at ${path} and was not ready within ${seconds} s; wait longer, or see its log`)
  );
}

async function diagnoseProtocol(path: string): Promise<SamehostError | undefined> {
  const connection = connect(path);
  const timer = setTimeout(() => connection.destroy(new Error("timeout")), HANDSHAKE_MS);
  let answer = Buffer.alloc(0);
  try {
    connection.write(PREFACE, "latin1");
    for await (const chunk of connection) {
      answer = Buffer.concat([answer, chunk as Buffer]);
      if (answer.length >= FRAME_HEADER_BYTES) {
        break;
      }
    }
  } catch (error) {
    if (errorMessage(error) === "timeout") {
      return new SamehostError(
        `what listens on ${path} did not speak within ${HANDSHAKE_MS / 1000} s; ` +
          `see whether it is a gRPC server, and whether it hangs`,
      );
    }
    return new SamehostError(
      `what listens on ${path} hung up: ${errorMessage(error)}; see whether it is a gRPC server`,
    );
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
  if (answer.length >= FRAME_HEADER_BYTES && answer[TYPE_OFFSET] === SETTINGS) {
    return undefined;
  }
  return new SamehostError(
    `what listens on ${path} does not speak HTTP/2: it began with ` +
      `${JSON.stringify(answer.toString("latin1", 0, FRAME_HEADER_BYTES))}; give the path of a gRPC server without TLS`,
  );
}
