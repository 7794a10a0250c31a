/** A Connect transport with the gRPC protocol over a Unix domain socket. */

import type { ClientHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, type GrpcTransportOptions, Http2SessionManager } from "@connectrpc/connect-node";

import { parseAddress } from "../address.js";
import { errorCode } from "../system-error.js";

/** The start of URLs. The host is only a name, because `SocketSessionManager` connects to the socket. */
export const BASE_URL = "http://localhost";

/**
 * By default, Node.js refuses calls on a connection that holds more than 10 MB, which is 37 of the largest test
 * messages.
 */
export const UNLIMITED_MEMORY = Number.MAX_SAFE_INTEGER;

// Connecting to a socket takes microseconds, so clients retry often.
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 500;

/**
 * The number of retries of a call that no server has processed. A slow client may meet several servers that stop, or
 * connections that end.
 */
const MAX_RETRIES = 10;

/** Connects to the socket, and reconnects when the server has closed the connection. */
export class SocketSessionManager extends Http2SessionManager {
  constructor(address: string) {
    const path = parseAddress(address);
    super(BASE_URL, {}, { createConnection: () => connect(path), maxSessionMemory: UNLIMITED_MEMORY });
  }

  override request(
    ...[method, path, headers, options]: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    // By default, Node.js sends `localhost:80`.
    return super.request(method, path, { ...headers, ":authority": "localhost" }, options);
  }
}

/**
 * Returns a transport with the gRPC protocol to the server on a path. The transport connects at the first call.
 *
 * @param options options of createGrpcTransport; with `interceptors: [waitForReady]`, calls wait for a server that
 *   starts later
 * @throws AddressError: the address is invalid
 */
export function dial(path: string, options: Partial<GrpcTransportOptions> = {}): Transport {
  return createGrpcTransport({
    baseUrl: BASE_URL,
    sessionManager: new SocketSessionManager(path),
    ...options,
    interceptors: [...(options.interceptors ?? []), retryRefused, reportBreaks],
  });
}

/**
 * Sends a unary call again if its server refused it without processing it, as a stopping server does (RFC 9113, 8.7).
 * The gRPC libraries do this by default (gRFC A6), but Connect does not.
 */
const retryRefused: Interceptor = (next) => async (request) => {
  for (let retries = 0; ; retries++) {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || retries === MAX_RETRIES || !isRefusal(ConnectError.from(error))) {
        throw error;
      }
    }
  }
};

/** Checks the message, because Connect has no code for a refused call. */
function isRefusal({ message }: ConnectError): boolean {
  return message.includes("REFUSED_STREAM");
}

/** Reports a broken connection as UNAVAILABLE, as the gRPC libraries do. */
const reportBreaks: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: reportingBreaks(response.message, request.signal) } : response;
  } catch (error) {
    throw breakOr(error, request.signal);
  }
};

async function* reportingBreaks<Message>(
  messages: AsyncIterable<Message>,
  signal: AbortSignal,
): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw breakOr(error, signal);
  }
}

/** Distinguishes a broken connection from a cancelled call. Node.js may end the calls of both with CANCEL. */
function breakOr(error: unknown, signal: AbortSignal): ConnectError {
  const original = ConnectError.from(error);
  const isBreak = original.code === Code.Canceled && original.message.includes("CANCEL (0x8)") && !signal.aborted;
  return isBreak ? new ConnectError("the connection broke", Code.Unavailable, undefined, undefined, error) : original;
}

/**
 * Makes a call that finds no server wait for one until its deadline, as gRPC's *wait for ready* does. Connect has no
 * such option. The call has not left this process, so no server processes it twice.
 */
export const waitForReady: Interceptor = (next) => async (request) => {
  for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(2 * backoff, LAST_BACKOFF_MS)) {
    try {
      return await next(request);
    } catch (error) {
      if (!["ENOENT", "ECONNREFUSED"].includes(errorCode(ConnectError.from(error).cause))) {
        throw error;
      }
      // Throws the reason for which the call ended. Connect would turn the AbortError of Node.js into "internal error".
      await pause(backoff, undefined, { signal: request.signal }).catch(() => {
        request.signal.throwIfAborted();
      });
    }
  }
};
