/** Errors that end a program. Each message is one line with the value and the remedy. */

/** An operation failed. The program exits with 1. */
export class FailureError extends Error {}

/** The usage is wrong, and the program did nothing. It exits with 2. */
export class UsageError extends Error {}
