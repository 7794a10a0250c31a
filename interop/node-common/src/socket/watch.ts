/** Notices that someone has removed the file of a server that serves, or put another in its place. */

/** How often to look: clients that wait for a server dial about as often, and a look takes some microseconds. */
const PACE_MS = 1000;

/**
 * Looks again and again, until the file is lost, which is said once, or `signal`. Not `fs.watch`, which tells of nothing on some
 * file systems that containers share.
 */
export function watch(isLost: () => boolean, lost: () => void, signal: AbortSignal): void {
  let timer = setTimeout(look, PACE_MS);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
  });

  function look(): void {
    if (isLost()) {
      lost();
    } else {
      timer = setTimeout(look, PACE_MS);
    }
  }
}
