/** The longest time of a timer. With a longer one, Node.js fires it at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The time that a stop may take beyond the grace, as PROTOCOL.md defines it. */
const BEYOND_GRACE_MS = 2000;

/**
 * Resolves at the first SIGTERM or SIGINT. Exits with 0 at the second one, or 2 s after the grace, even if calls are in
 * progress. A handler that blocks the event loop also blocks the timer and the signals, and so delays the exit.
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
