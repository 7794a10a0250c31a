/** A pause during a call. */

import { setTimeout } from "node:timers/promises";

/**
 * Waits. If the deadline or a cancellation ends the call, it throws that reason at once. Node.js would throw AbortError
 * for both, and Connect would turn that into "internal error".
 */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
