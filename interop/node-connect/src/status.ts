/** Returns status codes as the gRPC specification spells them. */

import { Code, ConnectError } from "@connectrpc/connect";
import type { CallStatus } from "samehost-interop-common/interop/checks";

/** Returns the status of a failed call. An error of the connection is UNAVAILABLE, even if Connect has another code. */
export function statusOf(error: unknown): CallStatus {
  const { code, rawMessage, cause } = ConnectError.from(error);
  return { code: cause === undefined ? codeName(code) : "UNAVAILABLE", message: rawMessage };
}

function codeName(code: Code): string {
  // Connect spells it CANCELED, gRPC spells it CANCELLED.
  return code === Code.Canceled ? "CANCELLED" : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
