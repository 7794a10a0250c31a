/** Notices that someone has removed the file of a server that serves, or put another in its place. */

/** How often to look: clients that wait for a server dial about as often, and a look takes some microseconds. */
const PACE_MS = 1000;

/**
 * Looks again and again until `signal`, and resolves when the file is lost. Not `fs.watch`, which tells of nothing on some file
 * systems that containers share.
 */
export function watch(isLost: () => boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (isLost()) {
        clearInterval(timer);
        resolve();
      }
    }, PACE_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
    });
  });
}
