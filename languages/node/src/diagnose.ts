/** Distinguishes the causes of a failed connection. */

import { existsSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

import { parseAddress } from "./address.js";
import { ForbiddenError, NoServerError, NotGrpcError, NotSocketError, type SamehostError } from "./errors.js";
import { describePermissions, pathState } from "./path-state.js";
import { errorMessage } from "./system-error.js";

/** The time that a server has to send its first frame. It takes less than a millisecond on one machine. */
const HANDSHAKE_MS = 1000;

// RFC 9113, 3.4 and 4.1: the client's preface with an empty SETTINGS frame, and the position of the type in a frame's
// header.
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0";
const FRAME_HEADER_BYTES = 9;
const TYPE_OFFSET = 3;
const SETTINGS = 4;

/**
 * Connects, and returns why a client cannot reach a gRPC server at a path: a NoServerError, ForbiddenError,
 * NotSocketError or NotGrpcError. Returns undefined if a server answers. Waits up to 1 s for the first frame of the
 * server.
 *
 * @throws AddressError: the address is invalid
 * @throws SamehostError: the system cannot read the status of the path
 */
export async function diagnose(address: string): Promise<SamehostError | undefined> {
  return (await probe(address)) ?? diagnoseProtocol(parseAddress(address));
}

/** Does the same as `diagnose` without the check for gRPC: connects, sends nothing, and does not wait. */
export async function probe(address: string): Promise<SamehostError | undefined> {
  const path = parseAddress(address);
  const { kind, cause } = await pathState(path);
  switch (kind) {
    case "absent":
      return new NoServerError(
        existsSync(dirname(path))
          ? `cannot connect to ${path}: no socket exists there; start the server, or mount the folder that it uses`
          : `cannot connect to ${path}: the folder ${dirname(path)} does not exist; check the path or mount it`,
        { cause },
      );
    case "stale":
      return new NoServerError(
        `cannot connect to ${path}: no server listens on it; start the server again, which replaces the file`,
        { cause },
      );
    case "forbidden":
      return new ForbiddenError(
        `cannot connect to ${path}: permission denied: ${describePermissions(path)}; ` +
          `join that group, or change the group or mode of the socket`,
        { cause },
      );
    case "not a socket":
      return new NotSocketError(
        `cannot connect to ${path}: it is not a socket; use the path that the server was started with`,
      );
    case "live":
      return undefined;
  }
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
      return new NotGrpcError(
        `cannot connect to ${path}: the server sent nothing within ${HANDSHAKE_MS / 1000} s; ` +
          `check that it is a gRPC server and that it is not blocked`,
        { cause: error },
      );
    }
    return connectionClosed(path, `: ${errorMessage(error)}`, error);
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
  if (answer.length === 0) {
    return connectionClosed(path, "");
  }
  if (answer.length >= FRAME_HEADER_BYTES && answer[TYPE_OFFSET] === SETTINGS) {
    return undefined;
  }
  const start = JSON.stringify(answer.toString("latin1", 0, FRAME_HEADER_BYTES));
  return new NotGrpcError(
    `cannot connect to ${path}: the server does not speak HTTP/2, its answer starts with ${start}; ` +
      `use the path of a gRPC server`,
  );
}

function connectionClosed(path: string, reason: string, cause?: unknown): NotGrpcError {
  return new NotGrpcError(
    `cannot connect to ${path}: the server closed the connection${reason}; check that it is a gRPC server`,
    { cause },
  );
}
