/** grpc.testing.TestService of grpc/grpc doc/interop-test-descriptions.md. */

import { hostname } from "node:os";

import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, encodeBinaryHeader, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { loadReport, type LoadReports, TRAILER } from "samehost-interop-common/interop/load-reports";
import { ECHO_INITIAL, ECHO_TRAILING, zeros } from "samehost-interop-common/interop/requests";
import { CACHEABLE, refusal, SERVER_ID } from "samehost-interop-common/interop/test-service";

import { messageCompression } from "./compression.js";
import { OrcaLoadReportSchema } from "./gen/samehost/interop/orca_load_report_pb.js";
import type { BoolValue, StreamingOutputCallRequest, TestService } from "./gen/samehost/interop/testing_pb.js";
import { pause } from "./pause.js";

/** All methods but unimplementedCall: Connect answers UNIMPLEMENTED for missing methods. */
export function interopService(reports: LoadReports): Omit<ServiceImpl<typeof TestService>, "unimplementedCall"> {
  return {
    emptyCall: () => ({}),

    unaryCall(request, context) {
      checkCompression(request.expectCompressed, 0, context);
      context.values.get(messageCompression).toSend.push(request.responseCompressed?.value ?? false);
      echo(context);
      if (request.orcaPerQueryReport !== undefined) {
        const report = create(OrcaLoadReportSchema, loadReport(request.orcaPerQueryReport));
        context.responseTrailer.set(TRAILER, encodeBinaryHeader(toBinary(OrcaLoadReportSchema, report)));
      }
      refuse(request, [request.responseSize]);
      return {
        payload: zeros(request.responseSize),
        serverId: request.fillServerId ? SERVER_ID : "",
        hostname: hostname(),
      };
    },

    cacheableUnaryCall({ payload }, { responseHeader }) {
      responseHeader.set(CACHEABLE.key, CACHEABLE.value);
      return payload === undefined ? {} : { payload };
    },

    streamingOutputCall: (request, context) => responses(request, context),

    async streamingInputCall(requests, context) {
      let size = 0;
      let count = 0;
      for await (const { payload, expectCompressed } of requests) {
        checkCompression(expectCompressed, count++, context);
        size += payload?.body.length ?? 0;
      }
      return { aggregatedPayloadSize: size };
    },

    async *fullDuplexCall(requests, context) {
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
    },

    async *halfDuplexCall(requests, context) {
      const all: StreamingOutputCallRequest[] = [];
      for await (const request of requests) {
        all.push(request);
      }
      for (const request of all) {
        yield* responses(request, context);
      }
    },
  };
}

async function* responses(request: StreamingOutputCallRequest, { signal, values }: HandlerContext) {
  refuse(
    request,
    request.responseParameters.map(({ size }) => size),
  );
  for (const { size, intervalUs, compressed } of request.responseParameters) {
    if (intervalUs > 0) {
      await pause(intervalUs / 1000, signal);
    }
    values.get(messageCompression).toSend.push(compressed?.value ?? false);
    yield { payload: zeros(size) };
  }
}

/** Echoes the metadata that the tests send for this. */
function echo({ requestHeader, responseHeader, responseTrailer }: HandlerContext): void {
  const initial = requestHeader.get(ECHO_INITIAL.key);
  if (initial !== null) {
    responseHeader.set(ECHO_INITIAL.key, initial);
  }
  const trailing = requestHeader.get(ECHO_TRAILING.key);
  if (trailing !== null) {
    responseTrailer.set(ECHO_TRAILING.key, trailing);
  }
}

/** Refuses a request whose compression differs from its field expect_compressed. */
function checkCompression(expected: BoolValue | undefined, position: number, { values }: HandlerContext): void {
  const compressed = values.get(messageCompression).received[position] ?? false;
  if (expected !== undefined && expected.value !== compressed) {
    const actual = compressed ? "compressed" : "uncompressed";
    const claim = expected.value ? "True" : "False";
    throw new ConnectError(`expect_compressed is ${claim} and the message was ${actual}`, Code.InvalidArgument);
  }
}

function refuse(request: Parameters<typeof refusal>[0], sizes: readonly number[]): void {
  const refused = refusal(request, sizes);
  if (refused !== undefined) {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- `refusal` returns no other numbers
    throw new ConnectError(refused.message, refused.code);
  }
}
