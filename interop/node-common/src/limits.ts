/** The longest message in either direction: gRPC's own default for what an end takes in. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A longer time makes timers of Node.js fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
