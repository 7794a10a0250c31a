/** The official cases with grpc-js, and those of compression as far as grpc-js shows it. */

import { type CallOptions as Options, type ClientDuplexStream, compressionAlgorithms, Metadata } from "@grpc/grpc-js";
import { createClient } from "samehost/grpc-js";
import * as cases from "samehost-interop-common/interop/cases";
import * as checks from "samehost-interop-common/interop/checks";
import { TRAILER } from "samehost-interop-common/interop/load-reports";
import * as requests from "samehost-interop-common/interop/requests";

import { answerTo, statusOf } from "./calls.js";
import { uncompressed } from "./compression.js";
import { dial } from "./dial.js";
import { OrcaLoadReport } from "./gen/samehost/interop/orca_load_report.js";
import { OpenRcaServiceClient, OrcaLoadReportRequest } from "./gen/samehost/interop/orca_service.js";
import {
  Empty,
  SimpleRequest,
  type SimpleResponse,
  StreamingInputCallRequest,
  type StreamingInputCallResponse,
  StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
  TestServiceClient,
  UnimplementedServiceClient,
} from "./gen/samehost/interop/testing.js";

const GZIP = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };

const HIDDEN = "grpc-js does not tell a client whether a message was compressed";

const { DEADLINE_MS, ECHO_INITIAL, ECHO_TRAILING } = requests;

class TestClient implements cases.TestClient {
  private readonly channel;
  private readonly stub;
  readonly statusOf = statusOf;

  constructor(
    readonly path: string,
    options = {},
  ) {
    this.channel = dial(path, options);
    this.stub = createClient(TestServiceClient, this.channel);
  }

  close(): void {
    this.channel.close();
  }

  async emptyCall(): Promise<number> {
    const { response } = await answerTo<Empty>((callback) =>
      this.stub.emptyCall({}, new Metadata(), within(), callback),
    );
    return Empty.encode(response).finish().length;
  }

  async unaryCall(request: cases.UnaryRequest, options: cases.CallOptions = {}): Promise<cases.UnaryAnswer> {
    const message = SimpleRequest.fromPartial(request);
    const { response, headers, trailers } = await answerTo<SimpleResponse>((callback) =>
      this.stub.unaryCall(message, metadataOf(options), within(options.deadlineMs), callback),
    );
    const reports = trailers.get(TRAILER).map((report) => OrcaLoadReport.decode(Buffer.from(report)));
    return { response, echoes: echoesIn(headers, trailers), reports };
  }

  async cacheableUnaryCall(request: { payload: requests.Payload }): Promise<SimpleResponse> {
    const metadata = new Metadata();
    metadata.set(requests.USER_IP.key, requests.USER_IP.value);
    const message = SimpleRequest.fromPartial(request);
    const { response } = await answerTo<SimpleResponse>((callback) =>
      this.stub.cacheableUnaryCall(message, metadata, within(), callback),
    );
    return response;
  }

  async streamingInputCall(inputs: readonly requests.Input[], options: Options = {}) {
    const { response } = await answerTo<StreamingInputCallResponse>((callback) => {
      const call = this.stub.streamingInputCall(new Metadata(), { ...within(), ...options }, callback);
      for (const input of inputs) {
        call.write(StreamingInputCallRequest.fromPartial(input));
      }
      call.end();
      return call;
    });
    return response;
  }

  streamingOutputCall(request: requests.Output): Promise<StreamingOutputCallResponse[]> {
    return allOf(this.stub.streamingOutputCall(StreamingOutputCallRequest.fromPartial(request), within()));
  }

  halfDuplexCall(outputs: readonly requests.Output[]): Promise<StreamingOutputCallResponse[]> {
    const call = this.stub.halfDuplexCall(new Metadata(), within());
    for (const output of outputs) {
      call.write(StreamingOutputCallRequest.fromPartial(output));
    }
    call.end();
    return allOf(call);
  }

  fullDuplexCall(options: cases.CallOptions = {}): Duplex {
    return new Duplex(this.stub.fullDuplexCall(metadataOf(options), within(options.deadlineMs)));
  }

  unimplementedMethod(): Promise<unknown> {
    return answerTo<Empty>((callback) => this.stub.unimplementedCall({}, new Metadata(), within(), callback));
  }

  unimplementedService(): Promise<unknown> {
    const stub = createClient(UnimplementedServiceClient, this.channel);
    return answerTo<Empty>((callback) => stub.unimplementedCall({}, new Metadata(), within(), callback));
  }

  cancelledCall(): Promise<unknown> {
    return answerTo<StreamingInputCallResponse>((callback) => {
      const begun = this.stub.streamingInputCall(new Metadata(), within(), callback);
      begun.cancel();
      return begun;
    });
  }

  loadReports() {
    const request = OrcaLoadReportRequest.fromPartial({ reportInterval: { nanos: requests.REPORT_INTERVAL_NANOS } });
    const call = createClient(OpenRcaServiceClient, this.channel).streamCoreMetrics(request, within());
    return {
      reports: {
        [Symbol.asyncIterator]: () => call.iterator({ destroyOnReturn: false }) as AsyncIterator<OrcaLoadReport>,
      },
      cancel: () => {
        call.on("error", () => undefined); // the cancellation
        call.cancel();
      },
    };
  }
}

class Duplex implements cases.Duplex {
  private headers = new Metadata();
  private trailers = new Metadata();
  private readonly responses: AsyncIterator<StreamingOutputCallResponse, undefined>;

  constructor(private readonly call: ClientDuplexStream<StreamingOutputCallRequest, StreamingOutputCallResponse>) {
    this.responses = call[Symbol.asyncIterator]() as AsyncIterator<StreamingOutputCallResponse, undefined>;
    call.on("metadata", (headers) => {
      this.headers = headers;
    });
    call.on("status", ({ metadata }) => {
      this.trailers = metadata;
    });
    call.on("error", () => undefined); // `receive` throws it
  }

  send(request: cases.DuplexRequest): void {
    this.call.write(StreamingOutputCallRequest.fromPartial(request));
  }

  halfClose(): void {
    this.call.end();
  }

  cancel(): void {
    this.call.cancel();
  }

  async receive(): Promise<StreamingOutputCallResponse | undefined> {
    return (await this.responses.next()).value;
  }

  echoes(): cases.Echoes {
    return echoesIn(this.headers, this.trailers);
  }
}

function metadataOf({ echo = false }: cases.CallOptions): Metadata {
  const metadata = new Metadata();
  if (echo) {
    metadata.set(ECHO_INITIAL.key, ECHO_INITIAL.value);
    metadata.set(ECHO_TRAILING.key, ECHO_TRAILING.value);
  }
  return metadata;
}

function echoesIn(headers: Metadata, trailers: Metadata): cases.Echoes {
  return [headers.get(ECHO_INITIAL.key), trailers.get(ECHO_TRAILING.key)];
}

async function allOf<Response>(responses: { toArray(): Promise<unknown[]> }): Promise<Response[]> {
  return (await responses.toArray()) as Response[];
}

function within(deadlineMs = DEADLINE_MS): { deadline: number } {
  return { deadline: Date.now() + deadlineMs };
}

async function withCompression(path: string, use: (client: TestClient) => Promise<void>): Promise<void> {
  const client = new TestClient(path, GZIP);
  try {
    await use(client);
  } finally {
    client.close();
  }
}

export const CASES = cases.casesWith((path) => new TestClient(path), {
  async client_compressed_unary(client) {
    const claiming = (value: boolean) => ({ ...requests.large(), expectCompressed: { value } });
    checks.status(await statusOf(client.unaryCall(claiming(true))), "INVALID_ARGUMENT");
    await withCompression(client.path, async (compressing) => {
      checks.large((await compressing.unaryCall(claiming(true))).response);
    });
    checks.large((await client.unaryCall(claiming(false))).response);
  },

  async server_compressed_unary(client) {
    for (const value of [true, false]) {
      checks.large((await client.unaryCall({ ...requests.large(), responseCompressed: { value } })).response);
    }
    checks.compressionIsHidden(HIDDEN);
  },

  async client_compressed_streaming(client) {
    const [first, second] = requests.compressedInputs();
    checks.status(await statusOf(client.streamingInputCall([first])), "INVALID_ARGUMENT");
    await withCompression(client.path, async (compressing) => {
      const isPlain = (request: unknown) => (request as StreamingInputCallRequest).expectCompressed?.value === false;
      const response = await compressing.streamingInputCall([first, second], { interceptors: [uncompressed(isPlain)] });
      checks.aggregated(response, requests.COMPRESSED_REQUEST_BYTES);
    });
  },

  async server_compressed_streaming(client) {
    checks.outputs(
      await client.streamingOutputCall(requests.compressedOutput()),
      requests.COMPRESSED_RESPONSES.map(({ size }) => size),
    );
    checks.compressionIsHidden(HIDDEN);
  },
});
