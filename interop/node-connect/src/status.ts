/** Statuses as the gRPC specification spells them. */

import { Code, ConnectError } from "@connectrpc/connect";
import type { CallStatus } from "samehost-interop-common/interop/checks";

/** The status of a call that failed. An error of the connection is UNAVAILABLE, whatever Connect makes of it. */
export function statusOf(error: unknown): CallStatus {
  const { code, rawMessage, cause } = ConnectError.from(error);
  return { code: cause === undefined ? codeName(code) : "UNAVAILABLE", message: rawMessage };
}

function codeName(code: Code): string {
  // Connect has CANCELED, gRPC has CANCELLED.
  return code === Code.Canceled ? "CANCELLED" : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
