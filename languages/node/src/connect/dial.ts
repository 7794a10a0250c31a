/** A Connect transport with the gRPC protocol, over a Unix domain socket. */

import type { ClientHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, type GrpcTransportOptions, Http2SessionManager } from "@connectrpc/connect-node";

import { parseAddress } from "../address.js";
import { errorCode } from "../system-error.js";

/** Where URLs begin; the host is a mere name, as the connection is made by `SocketSessionManager`. */
export const BASE_URL = "http://localhost";

/** Node.js refuses calls on a connection that holds more than 10 MB, which is 37 of the largest messages of the tests. */
export const UNLIMITED_MEMORY = Number.MAX_SAFE_INTEGER;

// Dialling a socket costs a client microseconds, so it is done often.
const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 500;

/** How often a call that no server has begun is sent again; a slow client meets several servers that stop, or connections that end. */
const MAX_REFUSALS = 10;

/** Connects to the socket, again when the server has closed the connection, whoever serves there by then. */
export class SocketSessionManager extends Http2SessionManager {
  constructor(address: string) {
    const path = parseAddress(address);
    super(BASE_URL, {}, { createConnection: () => connect(path), maxSessionMemory: UNLIMITED_MEMORY });
  }

  override request(
    ...[method, path, headers, options]: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    // Otherwise Node.js sends `localhost:80`.
    return super.request(method, path, { ...headers, ":authority": "localhost" }, options);
  }
}

/**
 * Returns a transport with the gRPC protocol to the server at a path. Nothing is dialled before the first call.
 *
 * @param options `interceptors: [waitForReady]` has calls wait for a server that starts later
 * @throws AddressError
 */
export function dial(path: string, options: Partial<GrpcTransportOptions> = {}): Transport {
  return createGrpcTransport({
    baseUrl: BASE_URL,
    sessionManager: new SocketSessionManager(path),
    ...options,
    interceptors: [...(options.interceptors ?? []), retryRefused, tellBreaks],
  });
}

/**
 * Sends a unary call again when its server says that it never began it, as one that stops does (RFC 9113, 8.7). gRPC's
 * libraries do so by themselves (gRFC A6), Connect does not.
 */
const retryRefused: Interceptor = (next) => async (request) => {
  for (let refusals = 0; ; refusals++) {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || refusals === MAX_REFUSALS || !isRefusal(ConnectError.from(error))) {
        throw error;
      }
    }
  }
};

/** Connect has no code of its own for it. */
function isRefusal({ message }: ConnectError): boolean {
  return message.includes("REFUSED_STREAM");
}

/** Says UNAVAILABLE of a connection that broke, as gRPC's libraries do. */
const tellBreaks: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: tellingBreaks(response.message, request.signal) } : response;
  } catch (error) {
    throw told(error, request.signal);
  }
};

async function* tellingBreaks<Message>(messages: AsyncIterable<Message>, signal: AbortSignal): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw told(error, signal);
  }
}

/** Node.js may end the calls of a connection that breaks as if they had been cancelled, though nobody has. */
function told(error: unknown, signal: AbortSignal): ConnectError {
  const said = ConnectError.from(error);
  const isBreak = said.code === Code.Canceled && said.message.includes("CANCEL (0x8)") && !signal.aborted;
  return isBreak ? new ConnectError("the connection broke", Code.Unavailable, undefined, undefined, error) : said;
}

/**
 * Has a call that meets no server wait for one until its deadline, as gRPC's *wait for ready* does, which Connect has not. It
 * never left this process, so that nothing is done twice.
 */
export const waitForReady: Interceptor = (next) => async (request) => {
  for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(2 * backoff, LAST_BACKOFF_MS)) {
    try {
      return await next(request);
    } catch (error) {
      if (!["ENOENT", "ECONNREFUSED"].includes(errorCode(ConnectError.from(error).cause))) {
        throw error;
      }
      // Node.js would say AbortError, of which Connect makes "internal error", where the deadline or a cancellation ends the call.
      await pause(backoff, undefined, { signal: request.signal }).catch(() => {
        request.signal.throwIfAborted();
      });
    }
  }
};
