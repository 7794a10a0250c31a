/** What ends a program; each message is one line with the value and the remedy. */

/** It failed. The program exits with 1. */
export class FailureError extends Error {}

/** It was used wrongly, and nothing was done. The program exits with 2. */
export class UsageError extends Error {}
