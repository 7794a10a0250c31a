/**
 * grpc.testing.TestService of grpc/grpc doc/interop-test-descriptions.md, without compression. A server on grpc-js does
 * not compress responses and cannot see whether a request was compressed (grpc-js src/server-interceptors.ts).
 */

import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";

import { Metadata } from "@grpc/grpc-js";
import { loadReport, type LoadReports, TRAILER } from "samehost-interop-common/interop/load-reports";
import { ECHO_INITIAL, ECHO_TRAILING, zeros } from "samehost-interop-common/interop/requests";
import { CACHEABLE, refusal, SERVER_ID } from "samehost-interop-common/interop/test-service";

import { OrcaLoadReport } from "./gen/samehost/interop/orca_load_report.js";
import {
  SimpleResponse,
  type StreamingOutputCallRequest,
  StreamingOutputCallResponse,
  type TestServiceServer,
} from "./gen/samehost/interop/testing.js";
import { bidiStreaming, type CallContext, clientStreaming, serverStreaming, StatusError, unary } from "./handlers.js";

/** All methods but unimplementedCall: grpc-js answers UNIMPLEMENTED for missing methods. */
type Implemented = Pick<
  TestServiceServer,
  | "emptyCall"
  | "unaryCall"
  | "cacheableUnaryCall"
  | "streamingInputCall"
  | "streamingOutputCall"
  | "fullDuplexCall"
  | "halfDuplexCall"
>;

export function interopService(reports: LoadReports): Implemented {
  return {
    emptyCall: unary(() => ({})),

    unaryCall: unary((request, context) => {
      echo(context);
      if (request.orcaPerQueryReport !== undefined) {
        // grpc-js can add reports itself, but only to all calls, and it reads its proto files again for each call
        // (grpc.server_call_metric_recording, grpc-js src/orca.ts).
        const report = OrcaLoadReport.fromPartial(loadReport(request.orcaPerQueryReport));
        context.trailers.set(TRAILER, Buffer.from(OrcaLoadReport.encode(report).finish()));
      }
      refuse(request, [request.responseSize]);
      return SimpleResponse.fromPartial({
        payload: zeros(request.responseSize),
        serverId: request.fillServerId ? SERVER_ID : "",
        hostname: hostname(),
      });
    }),

    cacheableUnaryCall: unary(({ payload }, context) => {
      const headers = new Metadata();
      headers.set(CACHEABLE.key, CACHEABLE.value);
      context.sendHeaders(headers);
      return SimpleResponse.fromPartial({ payload });
    }),

    streamingOutputCall: serverStreaming((request, context) => responses(request, context)),

    streamingInputCall: clientStreaming(async (requests) => {
      let size = 0;
      for await (const { payload } of requests) {
        size += payload?.body.length ?? 0;
      }
      return { aggregatedPayloadSize: size };
    }),

    fullDuplexCall: bidiStreaming(async function* (requests, context) {
      echo(context);
      let endTurn: (() => void) | undefined;
      try {
        for await (const request of requests) {
          if (request.orcaOobReport !== undefined) {
            endTurn ??= await reports.takeTurn();
            reports.current = loadReport(request.orcaOobReport);
          }
          yield* responses(request, context);
        }
      } finally {
        endTurn?.();
      }
    }),

    halfDuplexCall: bidiStreaming(async function* (requests, context) {
      const all: StreamingOutputCallRequest[] = [];
      for await (const request of requests) {
        all.push(request);
      }
      for (const request of all) {
        yield* responses(request, context);
      }
    }),
  };
}

async function* responses(
  request: StreamingOutputCallRequest,
  { peer, signal }: CallContext,
): AsyncGenerator<StreamingOutputCallResponse> {
  refuse(
    request,
    request.responseParameters.map(({ size }) => size),
  );
  for (const { size, intervalUs, fillPeerSocketAddress } of request.responseParameters) {
    if (intervalUs > 0) {
      await pause(intervalUs / 1000, undefined, { signal });
    }
    yield StreamingOutputCallResponse.fromPartial({
      payload: zeros(size),
      peerSocketAddress: fillPeerSocketAddress?.value === true ? peer : "",
    });
  }
}

/** Echoes the metadata that the tests send for this. */
function echo(context: CallContext): void {
  const initial = context.metadata.get(ECHO_INITIAL.key);
  if (initial.length > 0) {
    const headers = new Metadata();
    for (const value of initial) {
      headers.add(ECHO_INITIAL.key, value);
    }
    context.sendHeaders(headers);
  }
  for (const value of context.metadata.get(ECHO_TRAILING.key)) {
    context.trailers.add(ECHO_TRAILING.key, value);
  }
}

function refuse(request: Parameters<typeof refusal>[0], sizes: readonly number[]): void {
  const refused = refusal(request, sizes);
  if (refused !== undefined) {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- `refusal` returns no other numbers
    throw new StatusError(refused.code, refused.message);
  }
}
