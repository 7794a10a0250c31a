/**
 * The requests of the official cases, from grpc/grpc doc/interop-test-descriptions.md. They contain only the fields
 * that are set. Each code generator creates its messages from them.
 */

import { MAX_MESSAGE_BYTES } from "../limits.js";
import type { TestReport } from "./load-reports.js";

/** The deadline of each call, so that no case hangs. A call over a socket takes milliseconds. */
export const DEADLINE_MS = 30_000;

export const LARGE_REQUEST_BYTES = 271828;
export const LARGE_RESPONSE_BYTES = 314159;
export const REQUEST_BYTES = [27182, 8, 1828, 45904] as const;
export const RESPONSE_BYTES = [31415, 9, 2653, 58979] as const;
export const COMPRESSED_REQUEST_BYTES = [27182, 45904] as const;
/** The response sizes of server_compressed_streaming, in order, and whether each must be compressed. */
export const COMPRESSED_RESPONSES = [
  { size: 31415, compressed: true },
  { size: 92653, compressed: false },
] as const;

export const ECHO_INITIAL = { key: "x-grpc-test-echo-initial", value: "test_initial_metadata_value" } as const;
export const ECHO_TRAILING = { key: "x-grpc-test-echo-trailing-bin", value: Buffer.of(0xab, 0xab, 0xab) } as const;
/** The metadata of cacheable_unary. Some proxies cache nothing for clients on their own host. */
export const USER_IP = { key: "x-user-ip", value: "1.2.3.4" } as const;

export const STATUS = { code: 2, message: "test status message" } as const;
export const SPECIAL_STATUS = {
  code: 2,
  message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
} as const;

export const CONCURRENT_CALLS = 1000;
/** The deadline of each of these calls, because all of them wait for the last one. */
export const CONCURRENT_DEADLINE_MS = 60_000;

/** The number of calls that must reach the same server, as in grpc-go and grpc-java. The description has no number. */
export const PICK_FIRST_CALLS = 100;

/** The deadline of timeout_on_sleeping_server. */
export const TIMEOUT_MS = 1;

/** The report interval that orca_oob requests. */
export const REPORT_INTERVAL_NANOS = 100_000_000;

export const PER_CALL_REPORT: TestReport = {
  cpuUtilization: 0.821,
  memoryUtilization: 0.5847,
  requestCost: { cost: 3456.32 },
  utilization: { util: 0.30499 },
};
export const OUT_OF_BAND_REPORTS: readonly TestReport[] = [
  { cpuUtilization: 0.821, memoryUtilization: 0.5847, requestCost: {}, utilization: { util: 0.30499 } },
  { cpuUtilization: 0.29309, memoryUtilization: 0.2, requestCost: {}, utilization: { util: 0.2039 } },
];

export interface Payload {
  body: Buffer<ArrayBuffer>;
}
export interface Sized {
  responseSize: number;
  payload: Payload;
}
export interface Input {
  payload: Payload;
  expectCompressed?: { value: boolean };
}
export interface Output {
  responseParameters: { size: number; compressed?: { value: boolean } }[];
  payload?: Payload;
}

/** Returns a payload of zeros. It is a view of one block, because the tests send hundreds of megabytes. */
export function zeros(size: number): Payload {
  return { body: ZEROS.subarray(0, size) };
}

const ZEROS = Buffer.alloc(MAX_MESSAGE_BYTES);

/** The request of large_unary. */
export function large(): Sized {
  return { responseSize: LARGE_RESPONSE_BYTES, payload: zeros(LARGE_REQUEST_BYTES) };
}

/** Returns a unique request. Its payload is the time. */
export function cacheable(): { payload: Payload } {
  return { payload: { body: Buffer.from(process.hrtime.bigint().toString()) } };
}

/** The requests of client_streaming. */
export function inputs(): Input[] {
  return REQUEST_BYTES.map((size) => ({ payload: zeros(size) }));
}

/** The requests of client_compressed_streaming. The case also sends the first one uncompressed as a probe. */
export function compressedInputs(): [Input, Input] {
  const [first, second] = COMPRESSED_REQUEST_BYTES;
  return [
    { payload: zeros(first), expectCompressed: { value: true } },
    { payload: zeros(second), expectCompressed: { value: false } },
  ];
}

/** Returns a request for responses of these sizes. */
export function output(...sizes: number[]): Output {
  return { responseParameters: sizes.map((size) => ({ size })) };
}

/** The request of server_compressed_streaming. */
export function compressedOutput(): Output {
  return {
    responseParameters: COMPRESSED_RESPONSES.map(({ size, compressed }) => ({
      size,
      compressed: { value: compressed },
    })),
  };
}

/** The requests of ping_pong, with the size of the response to each. */
export function pingPong(): { request: Output; size: number }[] {
  return REQUEST_BYTES.map((requestSize, index) => {
    const size = RESPONSE_BYTES[index] ?? 0;
    return { request: { ...output(size), payload: zeros(requestSize) }, size };
  });
}

/** The request in the stream of custom_metadata. */
export function largeOutput(): Output {
  return { ...output(LARGE_RESPONSE_BYTES), payload: zeros(LARGE_REQUEST_BYTES) };
}

/** A request for no response, so the server never answers it. */
export function sleeper(): Output {
  return { responseParameters: [], payload: zeros(REQUEST_BYTES[0]) };
}

/** A request that sets the out-of-band report. The single response confirms it. */
export function reporting(report: TestReport): Output & { orcaOobReport: TestReport } {
  return { ...output(1), orcaOobReport: report };
}
