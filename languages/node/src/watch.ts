/** Detects that someone removed or replaced the socket of a running server. */

/** The time between two checks. Waiting clients reconnect about as often, and a check takes some microseconds. */
const INTERVAL_MS = 1000;

/**
 * Checks repeatedly until `signal` is aborted, and resolves when the socket is lost. Does not use `fs.watch`, which
 * reports nothing on some file systems that containers share.
 */
export function watch(isLost: () => boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (isLost()) {
        clearInterval(timer);
        resolve();
      }
    }, INTERVAL_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
    });
  });
}
