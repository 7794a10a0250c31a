/** A pause within a call. */

import { setTimeout } from "node:timers/promises";

/**
 * Waits, and ends early with what has ended the call: its deadline, or a cancellation. Node.js would say AbortError of both, of
 * which Connect makes "internal error".
 */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
