/** Turns calls with one response into promises. grpc-js uses callbacks and events. */

import { Metadata, type ServiceError, status, type StatusObject } from "@grpc/grpc-js";
import type { CallStatus } from "samehost-interop-common/interop/checks";

/** A response with its metadata. */
export interface Answer<Response> {
  readonly response: Response;
  readonly headers: Metadata;
  readonly trailers: Metadata;
}

interface Call {
  on(event: "metadata", listener: (headers: Metadata) => void): unknown;
  on(event: "status", listener: (status: StatusObject) => void): unknown;
}

/**
 * Makes a call that passes its response to a callback. The promise is rejected with ServiceError if the status is not
 * OK.
 */
export function answerTo<Response>(
  start: (callback: (error: ServiceError | null, response: Response) => void) => Call,
): Promise<Answer<Response>> {
  return new Promise((resolve, reject) => {
    let headers = new Metadata();
    let received: { response: Response } | undefined;
    const call = start((error, response) => {
      if (error === null) {
        received = { response };
      } else {
        reject(error);
      }
    });
    call.on("metadata", (each) => {
      headers = each;
    });
    call.on("status", ({ metadata: trailers }) => {
      if (received !== undefined) {
        resolve({ response: received.response, headers, trailers });
      }
    });
  });
}

/** Returns the status of a call, OK or another. */
export async function statusOf(call: Promise<unknown>): Promise<CallStatus> {
  try {
    await call;
    return { code: "OK", message: "" };
  } catch (error) {
    if (isServiceError(error)) {
      return { code: status[error.code], message: error.details };
    }
    throw error;
  }
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}
