/** Turns async functions and generators into grpc-js handlers, which use callbacks and events. */

import { type EventEmitter, once } from "node:events";

import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type sendUnaryData,
  type ServerErrorResponse,
  status,
} from "@grpc/grpc-js";

/** The context of a call, for a method. */
export interface CallContext {
  readonly metadata: Metadata;
  readonly peer: string;
  /** Aborted when the call is cancelled, its deadline expires or its connection breaks. */
  readonly signal: AbortSignal;
  /** The metadata that is sent with the status. */
  readonly trailers: Metadata;
  sendHeaders(headers: Metadata): void;
}

/** Thrown by a method to end its call with a status other than OK. */
export class StatusError extends Error {
  constructor(
    readonly code: status,
    message: string,
  ) {
    super(message);
  }
}

export function unary<Request, Response>(
  method: (request: Request, context: CallContext) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const context = contextOf(call);
    void answer(async () => method(call.request, context), callback, context);
  };
}

export function clientStreaming<Request, Response>(
  method: (requests: AsyncIterable<Request>, context: CallContext) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    const context = contextOf(call);
    void answer(() => method(requestsOf(call), context), callback, context);
  };
}

export function serverStreaming<Request, Response>(
  method: (request: Request, context: CallContext) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const context = contextOf(call);
    void pump(method(call.request, context), call, context);
  };
}

export function bidiStreaming<Request, Response>(
  method: (requests: AsyncIterable<Request>, context: CallContext) => AsyncIterable<Response>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    const context = contextOf(call);
    void pump(method(requestsOf(call), context), call, context);
  };
}

async function answer<Response>(
  method: () => Promise<Response>,
  callback: sendUnaryData<Response>,
  context: CallContext,
): Promise<void> {
  try {
    callback(null, await method(), context.trailers);
  } catch (error) {
    callback(statusOf(error, context));
  }
}

/** Sends the responses as fast as the client reads them, then the status. */
async function pump<Response>(
  responses: AsyncIterable<Response>,
  call: EventEmitter & { write(response: Response): boolean; end(trailers: Metadata): unknown },
  context: CallContext,
): Promise<void> {
  const { signal, trailers } = context;
  try {
    for await (const response of responses) {
      signal.throwIfAborted();
      if (!call.write(response)) {
        await once(call, "drain", { signal });
      }
    }
    call.end(trailers);
  } catch (error) {
    if (!signal.aborted) {
      call.emit("error", statusOf(error, context));
    }
  }
}

/**
 * Returns the requests of a call. A plain `for await` over the call would destroy it at the end, with its response
 * stream.
 */
function requestsOf<Request>(
  call: NodeJS.ReadableStream & { iterator(options: object): unknown },
): AsyncIterable<Request> {
  return call.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>;
}

function contextOf(call: {
  readonly metadata: Metadata;
  getPeer(): string;
  sendMetadata(headers: Metadata): void;
  once(event: "cancelled", listener: () => void): unknown;
}): CallContext {
  const ending = new AbortController();
  call.once("cancelled", () => {
    ending.abort();
  });
  return {
    metadata: call.metadata,
    peer: call.getPeer(),
    signal: ending.signal,
    trailers: new Metadata(),
    sendHeaders: (headers) => {
      call.sendMetadata(headers);
    },
  };
}

function statusOf(error: unknown, { signal, trailers }: CallContext): ServerErrorResponse {
  if (error instanceof StatusError) {
    return Object.assign(error, { details: error.message, metadata: trailers });
  }
  if (!signal.aborted) {
    console.error(error); // a bug; the client only gets "internal error"
  }
  return Object.assign(new Error("internal error"), { code: status.INTERNAL });
}
