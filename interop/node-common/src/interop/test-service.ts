/** The parts of grpc.testing.TestService that do not depend on a library. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";

import { MAX_MESSAGE_BYTES } from "../limits.js";

/** The metadata that lets a proxy cache a response, for the time in the official description. */
export const CACHEABLE = { key: "cache-control", value: "max-age=60, public" } as const;

/** The unique id of this server process. */
export const SERVER_ID = `${hostname()}-${process.pid}-${randomUUID()}`;

const COMPRESSABLE = 0;
const INVALID_ARGUMENT = 3;
const UNKNOWN = 2;
const LAST_CODE = 16;

interface Request {
  readonly responseType: number;
  readonly responseStatus?: { readonly code: number; readonly message: string } | undefined;
}

/** Returns the status that replaces the response, because the request asks for it or is invalid. */
export function refusal(
  { responseType, responseStatus }: Request,
  sizes: readonly number[],
): { code: number; message: string } | undefined {
  if (responseStatus !== undefined && responseStatus.code !== 0) {
    const { code, message } = responseStatus;
    return { code: code > 0 && code <= LAST_CODE ? code : UNKNOWN, message };
  }
  if (responseType !== COMPRESSABLE) {
    return { code: INVALID_ARGUMENT, message: `invalid response_type ${responseType}: use 0` };
  }
  const invalid = sizes.find((size) => size < 0 || size > MAX_MESSAGE_BYTES);
  if (invalid !== undefined) {
    return {
      code: INVALID_ARGUMENT,
      message: `invalid size ${invalid}: use 0 to ${MAX_MESSAGE_BYTES} bytes`,
    };
  }
  return undefined;
}
