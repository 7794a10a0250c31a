/** The command `serve`: listening, saying so, signals, takeovers and stopping, in this order. */

import { type Listener, type ListenOptions, UnsafeFolderError } from "samehost";

import { FailureError } from "./errors.js";
import { ServingStatuses } from "./serving-statuses.js";
import { stopSignal } from "./stop-signal.js";

export const SERVICES = [
  "samehost.greeter.v1.GreeterService",
  "grpc.testing.TestService",
  "xds.service.orca.v3.OpenRcaService",
];

export interface ServeOptions extends ListenOptions {
  /** The path that clients use. */
  readonly path: string;
  /** How long calls in progress have to finish when the server stops. */
  readonly graceMs: number;
  /** What to do when someone removes the path. */
  readonly onRemoved: "serve" | "stop";
}

/** Listens with all services, of which the statuses tell. */
export type Listen = (path: string, options: ListenOptions, statuses: ServingStatuses) => Promise<Listener>;

/** Serves until a signal, a takeover or, where that is asked for, the path's removal; calls `ready` when calls succeed. */
export async function serve(listen: Listen, options: ServeOptions, ready: () => void): Promise<void> {
  const { path, graceMs, onRemoved, ...others } = options;
  const stopped = stopSignal(graceMs);
  const statuses = new ServingStatuses(SERVICES);
  const listener = await listen(path, { ...others, allowTakeover: true, onWarning }, statuses).catch(addRemedy);
  ready();
  const removed = listener.removed.then(() => {
    const loss =
      `someone has removed ${path}, or put another in its place: no new client finds this server; ` +
      `start it again, and leave the file alone`;
    if (onRemoved === "stop") {
      throw new FailureError(loss);
    }
    onWarning(loss);
    return new Promise<never>(() => undefined);
  });
  try {
    await Promise.race([stopped, listener.takenOver, removed]);
  } finally {
    statuses.end();
    await listener.drain(graceMs);
  }
}

function onWarning(message: string): void {
  console.error(message);
}

function addRemedy(error: unknown): never {
  if (error instanceof UnsafeFolderError) {
    throw new FailureError(`${error.message}, or give --trust-folder if you trust everyone who can reach it`, {
      cause: error,
    });
  }
  throw error;
}
