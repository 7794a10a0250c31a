/** What grpc.testing.TestService says and refuses, in whichever library it is served. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";

import { MAX_MESSAGE_BYTES } from "../limits.js";

/** What lets a proxy keep a response, for as long as the official description has it. */
export const CACHEABLE = { key: "cache-control", value: "max-age=60, public" } as const;

/** This server's own name, the same for its whole life. */
export const SERVER_ID = `${hostname()}-${process.pid}-${randomUUID()}`;

const COMPRESSABLE = 0;
const INVALID_ARGUMENT = 3;
const UNKNOWN = 2;
const LAST_CODE = 16;

interface Request {
  readonly responseType: number;
  readonly responseStatus?: { readonly code: number; readonly message: string } | undefined;
}

/** The status that a call ends with instead of a response: because it is asked for, or can't be answered. */
export function refusal(
  { responseType, responseStatus }: Request,
  sizes: readonly number[],
): { code: number; message: string } | undefined {
  if (responseStatus !== undefined && responseStatus.code !== 0) {
    const { code, message } = responseStatus;
    return { code: code > 0 && code <= LAST_CODE ? code : UNKNOWN, message };
  }
  if (responseType !== COMPRESSABLE) {
    return { code: INVALID_ARGUMENT, message: `response_type is ${responseType}; 0 is the one there is` };
  }
  const impossible = sizes.find((size) => size < 0 || size > MAX_MESSAGE_BYTES);
  if (impossible !== undefined) {
    return {
      code: INVALID_ARGUMENT,
      message: `a size is ${impossible} bytes; ask for 0 to ${MAX_MESSAGE_BYTES}`,
    };
  }
  return undefined;
}
