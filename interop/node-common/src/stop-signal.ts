/** A longer time makes timers of Node.js fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a stop may take beyond the grace, as PROTOCOL.md has it. */
const BEYOND_GRACE_MS = 2000;

/**
 * Resolves at the first SIGTERM or SIGINT. The process ends with 0 at the second one, or when the grace and 2 s are over, whatever is
 * in progress; only a handler that blocks the event loop can keep it.
 */
export function stopSignal(graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const end = (): never => process.exit(0);
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (stopping) {
          end();
        }
        stopping = true;
        setTimeout(end, Math.min(graceMs + BEYOND_GRACE_MS, MAX_TIMER_MS));
        resolve();
      });
    }
  });
}
