/** The longest message in either direction: gRPC's own default for what an end takes in. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
