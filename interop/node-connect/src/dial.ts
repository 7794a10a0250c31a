/** The transports of this peer: with message limits, and with a wait for the server. */

import { setTimeout as pause } from "node:timers/promises";

import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { dial as dialSocket } from "samehost/connect";
import { checkWaitingHelps, notReady } from "samehost-interop-common/explain";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";

import { Health } from "./gen/health/v1/health_pb.js";

/** The options of a server and of a transport. */
export const MESSAGE_LIMITS = { readMaxBytes: MAX_MESSAGE_BYTES, writeMaxBytes: MAX_MESSAGE_BYTES };

const RETRY_MS = 100;

export function dial(path: string, interceptors: Interceptor[] = []): Transport {
  return dialSocket(path, { ...MESSAGE_LIMITS, interceptors });
}

/** Waits for a server that has not started yet or closes connections. Throws at once if waiting cannot help. */
export async function waitUntilReady(transport: Transport, path: string, seconds: number): Promise<void> {
  await checkWaitingHelps(path);
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
      await pause(Math.min(RETRY_MS, left));
    }
  }
}

/** Returns whether a server answered, even if it does not serve the health service. */
function isAnswer({ code }: ConnectError): boolean {
  return code === Code.Unimplemented || code === Code.NotFound;
}
