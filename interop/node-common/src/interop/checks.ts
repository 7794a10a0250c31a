/** The assertions of the official cases. Each failure is one line with the expected and the actual value. */

import { inspect, isDeepStrictEqual } from "node:util";

import { loadReport, type LoadReport, type TestReport } from "./load-reports.js";
import * as requests from "./requests.js";

const SOAK_ITERATIONS = 10;
const SOAK_ITERATION_MS = 1000;

/** The time that an out-of-band report has to arrive. The slowest interop servers send one each second. */
const REPORT_MS = 10_000;

const COMPRESSABLE = 0;

/** The server did not behave as the description of the case requires. */
export class CaseFailure extends Error {}

/** The status of a call. `code` is spelled as in the specification. */
export interface CallStatus {
  readonly code: string;
  readonly message: string;
}

interface Payload {
  readonly type: number;
  readonly body: Uint8Array;
}
export interface WithPayload {
  readonly payload?: Payload | undefined;
}

export function equal(what: string, got: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(got, expected)) {
    throw new CaseFailure(`${what}: expected ${show(expected)}, got ${show(got)}`);
  }
}

/** Fails unless a payload has the right type, size and contents. */
function payload(what: string, got: Payload | undefined, size: number): void {
  equal(`payload type of ${what}`, got?.type ?? COMPRESSABLE, COMPRESSABLE);
  equal(`payload size of ${what}`, got?.body.length ?? 0, size);
  if (got !== undefined && !requests.zeros(size).body.equals(got.body)) {
    throw new CaseFailure(`payload of ${what}: expected ${size} zeros, got other bytes`);
  }
}

export function empty(serializedBytes: number): void {
  equal("size of the response in bytes", serializedBytes, 0);
}

export function large(response: WithPayload): void {
  payload("the response", response.payload, requests.LARGE_RESPONSE_BYTES);
}

export function cached(first: WithPayload, second: WithPayload): void {
  equal("payload of the second response", hex(second), hex(first));
}

export function aggregated(response: { aggregatedPayloadSize: number }, sizes: readonly number[]): void {
  const sum = sizes.reduce((total, size) => total + size, 0);
  equal("aggregated_payload_size", response.aggregatedPayloadSize, sum);
}

/** Fails unless a stream had exactly the responses of these sizes, in order. */
export function outputs(responses: readonly WithPayload[], sizes: readonly number[]): void {
  equal(
    "payload sizes of the responses",
    responses.map((each) => each.payload?.body.length ?? 0),
    [...sizes],
  );
  for (const [index, size] of sizes.entries()) {
    payload(`response ${index + 1}`, responses[index]?.payload, size);
  }
}

/** Fails unless the stream has a next response of this size. */
export function output(response: WithPayload | undefined, size: number): void {
  if (response === undefined) {
    throw new CaseFailure(`next response of the stream: expected one of ${size} bytes, got the end of the stream`);
  }
  payload("the response", response.payload, size);
}

/** Fails if a stream has another response. */
export function end(response: WithPayload | undefined): void {
  if (response !== undefined) {
    const size = response.payload?.body.length ?? 0;
    throw new CaseFailure(`end of the stream: expected no response, got one of ${size} bytes`);
  }
}

/** Fails, because the library does not show whether messages are compressed. All other checks have passed. */
export function compressionIsHidden(reason: string): never {
  throw new CaseFailure(`compressed flag of the response: cannot be checked, because ${reason}`);
}

export function compressedFlag(got: boolean, expected: boolean): void {
  equal("compressed flag of the response", got, expected);
}

export function compressedFlags(got: readonly boolean[]): void {
  equal(
    "compressed flags of the responses",
    got,
    requests.COMPRESSED_RESPONSES.map(({ compressed }) => compressed),
  );
}

/** Fails unless both metadata values were echoed, each once and in its own block. */
export function echoes(initial: readonly (string | Uint8Array)[], trailing: readonly (string | Uint8Array)[]): void {
  equal(`${requests.ECHO_INITIAL.key} in initial metadata`, initial.map(plain), [requests.ECHO_INITIAL.value]);
  equal(`${requests.ECHO_TRAILING.key} in trailing metadata`, trailing.map(plain), [
    plain(requests.ECHO_TRAILING.value),
  ]);
}

/** Fails unless all calls reached the same server and it has a name. */
export function sameServer(ids: readonly string[]): void {
  const different = new Set(ids);
  if (different.size !== 1 || different.has("")) {
    throw new CaseFailure(
      `server_id of ${ids.length} responses: expected one that is not empty, got ${show([...different])}`,
    );
  }
}

export function reportedWithCall(reports: readonly LoadReport[]): void {
  equal("load reports in the trailing metadata", reports.map(known), [loadReport(requests.PER_CALL_REPORT)]);
}

/** Waits for an out-of-band load report. Older reports may arrive before it. */
export async function awaitReport(reports: AsyncIterable<LoadReport>, report: TestReport): Promise<void> {
  const expected = loadReport(report);
  const last = Date.now() + REPORT_MS;
  for await (const each of reports) {
    if (isDeepStrictEqual(known(each), expected)) {
      return;
    }
    if (Date.now() > last) {
      equal(`load report after ${REPORT_MS / 1000} s`, known(each), expected);
    }
  }
  throw new CaseFailure(`load report: expected ${show(expected)}, got the end of the stream`);
}

/** Fails unless a call ended with this status, and with this message if one is given. */
export function status(got: CallStatus, code: string, message?: string): void {
  equal("status code", got.code, code);
  if (message !== undefined) {
    equal("status message", got.message, message);
  }
}

/** Repeats a case. Fails unless all iterations finish in time and none fails. */
export async function soak(iteration: () => Promise<void>): Promise<void> {
  const last = Date.now() + SOAK_ITERATIONS * SOAK_ITERATION_MS;
  const faults: string[] = [];
  let done = 0;
  for (; done < SOAK_ITERATIONS && Date.now() <= last; done++) {
    const started = Date.now();
    try {
      await iteration();
      const elapsed = Date.now() - started;
      if (elapsed > SOAK_ITERATION_MS) {
        faults.push(`took ${elapsed} ms`);
      }
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
    }
  }
  equal("number of iterations in time", done, SOAK_ITERATIONS);
  if (faults.length > 0) {
    throw new CaseFailure(`failed iterations: expected none, got ${faults.length}, first: ${faults[0] ?? ""}`);
  }
}

/** Returns only the fields that the tests use. The generated message may have more. */
function known({ cpuUtilization, memUtilization, requestCost, utilization }: LoadReport): LoadReport {
  return { cpuUtilization, memUtilization, requestCost: { ...requestCost }, utilization: { ...utilization } };
}

function hex(response: WithPayload): string {
  return Buffer.from(response.payload?.body ?? []).toString("hex");
}

function plain(value: string | Uint8Array): string {
  return typeof value === "string" ? value : `0x${Buffer.from(value).toString("hex")}`;
}

function show(value: unknown): string {
  return inspect(value, { breakLength: Infinity, depth: null });
}
