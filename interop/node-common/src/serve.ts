/** The command `serve`: listens, reports that it is ready, waits for a signal or a takeover, and stops. */

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
  /** The time for calls in progress to finish when the server stops. */
  readonly graceMs: number;
  /** The reaction when someone removes or replaces the socket. */
  readonly onRemoved: "serve" | "stop";
}

/** Listens with all services. `statuses` holds their health. */
export type Listen = (path: string, options: ListenOptions, statuses: ServingStatuses) => Promise<Listener>;

/**
 * Serves until a signal or a takeover. Calls `ready` when calls succeed.
 *
 * @throws FailureError: the socket was removed, and `onRemoved` is `stop`
 */
export async function serve(listen: Listen, options: ServeOptions, ready: () => void): Promise<void> {
  const { path, graceMs, onRemoved, ...others } = options;
  const stopped = stopSignal(graceMs);
  const statuses = new ServingStatuses(SERVICES);
  const listener = await listen(path, { ...others, allowTakeover: true, onWarning }, statuses).catch(addRemedy);
  ready();
  const removed = listener.removed.then(() => {
    const loss = `the socket ${path} was removed or replaced, and new clients cannot connect; start the server again`;
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
    throw new FailureError(`${error.message}, or use --trust-folder`, { cause: error });
  }
  throw error;
}
