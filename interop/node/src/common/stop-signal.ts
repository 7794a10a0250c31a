/** Resolves at the first SIGTERM or SIGINT. The second one ends the process at once, whatever is in progress. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (stopping) {
          process.exit(0);
        }
        stopping = true;
        resolve();
      });
    }
  });
}
