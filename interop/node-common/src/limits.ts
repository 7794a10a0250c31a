/** The longest message in either direction. It is the default limit of gRPC for messages that it receives. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
