/** Why no gRPC server can be reached at a path, told apart and said in one line with the remedy. */

import { existsSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";

import { parseAddress } from "./address.js";
import { ForbiddenError, NoServerError, NotGrpcError, NotSocketError, type SamehostError } from "./errors.js";
import { describePermissions, pathState } from "./path-state.js";
import { errorMessage } from "./system-error.js";

/** How long a server may take to send its first frame; on one machine it takes less than a millisecond. */
const HANDSHAKE_MS = 1000;

// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0";
const FRAME_HEADER_BYTES = 9;
const TYPE_OFFSET = 3;
const SETTINGS = 4;

/**
 * Returns why no gRPC server can be reached at a path, by looking and dialling, or undefined if one answers. It waits up to 1 s for
 * the server: NoServerError, ForbiddenError, NotSocketError, NotGrpcError.
 *
 * @throws AddressError, or SamehostError where the system refuses to look
 */
export async function diagnose(address: string): Promise<SamehostError | undefined> {
  return (await probe(address)) ?? diagnoseProtocol(parseAddress(address));
}

/** Does what `diagnose` does, but does not ask whether the server speaks gRPC: it connects, sends nothing, and never waits. */
export async function probe(address: string): Promise<SamehostError | undefined> {
  const path = parseAddress(address);
  const { kind, cause } = await pathState(path);
  switch (kind) {
    case "absent":
      return new NoServerError(
        existsSync(dirname(path))
          ? `no socket at ${path}: start its server, or mount the folder that it serves in`
          : `no socket at ${path}: there is no folder ${dirname(path)}; create it or mount it here`,
        { cause },
      );
    case "stale":
      return new NoServerError(
        `nobody listens on ${path}: its server is gone; start it again and it replaces the file`,
        { cause },
      );
    case "forbidden":
      return new ForbiddenError(
        `no permission to connect to ${path}: ${describePermissions(path)}; connecting takes write permission: ` +
          `run in that group, or give the socket another group or mode`,
        { cause },
      );
    case "not a socket":
      return new NotSocketError(`${path} is not a socket; give the path that the server was started with`);
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
        `what listens on ${path} did not speak within ${HANDSHAKE_MS / 1000} s; ` +
          `see whether it is a gRPC server, and whether it hangs`,
        { cause: error },
      );
    }
    return new NotGrpcError(
      `what listens on ${path} hung up: ${errorMessage(error)}; see whether it is a gRPC server`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
  if (answer.length >= FRAME_HEADER_BYTES && answer[TYPE_OFFSET] === SETTINGS) {
    return undefined;
  }
  return new NotGrpcError(
    `what listens on ${path} does not speak HTTP/2: it began with ` +
      `${JSON.stringify(answer.toString("latin1", 0, FRAME_HEADER_BYTES))}; give the path of a gRPC server without TLS`,
  );
}
