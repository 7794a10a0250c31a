/** Transports as the peer has them: with the limits of its messages, and waiting for a server. */

import { setTimeout as pause } from "node:timers/promises";

import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { dial as dialSocket } from "samehost/connect";
import { notReady, refuseWhatWaitingCannotCure } from "samehost-interop-common/explain";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";

import { Health } from "./gen/health/v1/health_pb.js";

/** Of a server, and of a transport. */
export const MESSAGE_LIMITS = { readMaxBytes: MAX_MESSAGE_BYTES, writeMaxBytes: MAX_MESSAGE_BYTES };

const PACE_MS = 100;

export function dial(path: string, interceptors: Interceptor[] = []): Transport {
  return dialSocket(path, { ...MESSAGE_LIMITS, interceptors });
}

/** Waits for a server that is not there yet, or hangs up, but not where waiting can't help. */
export async function waitUntilReady(transport: Transport, path: string, seconds: number): Promise<void> {
  await refuseWhatWaitingCannotCure(path);
  const last = Date.now() + seconds * 1000;
  const health = createClient(Health, transport);
  for (;;) {
    const left = last - Date.now();
    if (left <= 0) {
      throw await notReady(path, seconds);
    }
    try {
      await health.check({}, { timeoutMs: left });
      return;
    } catch (error) {
      if (isAnswer(ConnectError.from(error))) {
        return;
      }
      await pause(Math.min(PACE_MS, left));
    }
  }
}

/** Whether a server has answered, if only that it has no health to tell. */
function isAnswer({ code }: ConnectError): boolean {
  return code === Code.Unimplemented || code === Code.NotFound;
}
