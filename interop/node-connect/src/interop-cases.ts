/** The official cases with Connect, including those of compression. */

import { PassThrough } from "node:stream";

import { toBinary } from "@bufbuild/protobuf";
import {
  type CallOptions as Options,
  type Client,
  createClient,
  decodeBinaryHeader,
  encodeBinaryHeader,
} from "@connectrpc/connect";
import * as cases from "samehost-interop-common/interop/cases";
import * as checks from "samehost-interop-common/interop/checks";
import { TRAILER } from "samehost-interop-common/interop/load-reports";
import * as requests from "samehost-interop-common/interop/requests";

import { dialWithMessageCompression, MessageCompression } from "./compression.js";
import { dial } from "./dial.js";
import { OrcaLoadReportSchema } from "./gen/samehost/interop/orca_load_report_pb.js";
import { OpenRcaService } from "./gen/samehost/interop/orca_service_pb.js";
import {
  EmptySchema,
  type StreamingOutputCallResponse,
  TestService,
  UnimplementedService,
} from "./gen/samehost/interop/testing_pb.js";
import { statusOf } from "./status.js";

const { DEADLINE_MS, ECHO_INITIAL, ECHO_TRAILING } = requests;

class TestClient implements cases.TestClient {
  private readonly client: Client<typeof TestService>;

  constructor(
    readonly path: string,
    private readonly transport = dial(path),
  ) {
    this.client = createClient(TestService, transport);
  }

  close(): void {
    // An idle connection does not keep the program running.
  }

  async emptyCall(): Promise<number> {
    return toBinary(EmptySchema, await this.client.emptyCall({}, within())).length;
  }

  async unaryCall(request: cases.UnaryRequest, options: cases.CallOptions = {}): Promise<cases.UnaryAnswer> {
    const metadata = new Metadata(options);
    const response = await this.client.unaryCall(request, metadata.options);
    return { response, echoes: metadata.echoes(), reports: metadata.reports() };
  }

  cacheableUnaryCall(request: { payload: requests.Payload }) {
    const headers = { [requests.USER_IP.key]: requests.USER_IP.value };
    return this.client.cacheableUnaryCall(request, { ...within(), headers });
  }

  streamingInputCall(inputs: readonly requests.Input[]) {
    return this.client.streamingInputCall(stream(inputs), within());
  }

  streamingOutputCall(request: requests.Output): Promise<StreamingOutputCallResponse[]> {
    return collect(this.client.streamingOutputCall(request, within()));
  }

  halfDuplexCall(outputs: readonly requests.Output[]): Promise<StreamingOutputCallResponse[]> {
    return collect(this.client.halfDuplexCall(stream(outputs), within()));
  }

  fullDuplexCall(options: cases.CallOptions = {}): Duplex {
    return new Duplex(this.client, new Metadata(options));
  }

  unimplementedMethod(): Promise<unknown> {
    return this.client.unimplementedCall({}, within());
  }

  unimplementedService(): Promise<unknown> {
    return createClient(UnimplementedService, this.transport).unimplementedCall({}, within());
  }

  cancelledCall(): Promise<unknown> {
    const cancelling = new AbortController();
    const noRequests = new PassThrough({
      objectMode: true,
      read: () => {
        cancelling.abort(); // the call has started, because its first request is read
      },
    });
    return this.client.streamingInputCall(noRequests, { ...within(), signal: cancelling.signal });
  }

  loadReports() {
    const listening = new AbortController();
    const request = { reportInterval: { nanos: requests.REPORT_INTERVAL_NANOS } };
    const options = { ...within(), signal: listening.signal };
    const responses = createClient(OpenRcaService, this.transport)
      .streamCoreMetrics(request, options)
      [Symbol.asyncIterator]();
    return {
      // Without `return`, because leaving a loop would call it and end the call.
      reports: { [Symbol.asyncIterator]: () => ({ next: () => responses.next() }) },
      cancel: () => {
        listening.abort();
      },
    };
  }

  async statusOf(call: Promise<unknown>): Promise<checks.CallStatus> {
    try {
      await call;
      return { code: "OK", message: "" };
    } catch (error) {
      return statusOf(error);
    }
  }
}

/** The metadata of a call: sent and received. */
class Metadata {
  private header = new Headers();
  private trailer = new Headers();
  readonly options: Options;

  constructor({ echo = false, deadlineMs }: cases.CallOptions) {
    this.options = {
      ...within(deadlineMs),
      headers: echo
        ? { [ECHO_INITIAL.key]: ECHO_INITIAL.value, [ECHO_TRAILING.key]: encodeBinaryHeader(ECHO_TRAILING.value) }
        : {},
      onHeader: (header) => {
        this.header = header;
      },
      onTrailer: (trailer) => {
        this.trailer = trailer;
      },
    };
  }

  echoes(): cases.Echoes {
    const initial = this.header.get(ECHO_INITIAL.key);
    const trailing = this.trailer.get(ECHO_TRAILING.key);
    return [initial === null ? [] : [initial], trailing === null ? [] : [decodeBinaryHeader(trailing)]];
  }

  reports() {
    const report = this.trailer.get(TRAILER);
    return report === null ? [] : [decodeBinaryHeader(report, OrcaLoadReportSchema)];
  }
}

class Duplex implements cases.Duplex {
  private readonly requests = new PassThrough({ objectMode: true });
  private readonly cancelling = new AbortController();
  private readonly responses: AsyncIterator<StreamingOutputCallResponse, undefined>;

  constructor(
    client: Client<typeof TestService>,
    private readonly metadata: Metadata,
  ) {
    const options = { ...metadata.options, signal: this.cancelling.signal };
    const responses = client.fullDuplexCall(this.requests, options);
    this.responses = responses[Symbol.asyncIterator]() as typeof this.responses;
  }

  send(request: cases.DuplexRequest): void {
    this.requests.write(request);
  }

  halfClose(): void {
    this.requests.end();
  }

  cancel(): void {
    this.cancelling.abort();
  }

  async receive(): Promise<StreamingOutputCallResponse | undefined> {
    return (await this.responses.next()).value;
  }

  echoes(): cases.Echoes {
    return this.metadata.echoes();
  }
}

/** Returns a client for one call and its compression. `toSend` selects the requests to compress. */
function withMessages(path: string, toSend: readonly boolean[] = []) {
  const compression = new MessageCompression();
  compression.toSend.push(...toSend);
  return { client: new TestClient(path, dialWithMessageCompression(path, compression)), compression };
}

// eslint-disable-next-line @typescript-eslint/require-await -- Connect requires an asynchronous iterable
async function* stream<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) {
    collected.push(item);
  }
  return collected;
}

function within(timeoutMs = DEADLINE_MS): { timeoutMs: number } {
  return { timeoutMs };
}

export const CASES = cases.casesWith((path) => new TestClient(path), {
  async client_compressed_unary(client) {
    const claiming = (value: boolean) => ({ ...requests.large(), expectCompressed: { value } });
    checks.status(await client.statusOf(client.unaryCall(claiming(true))), "INVALID_ARGUMENT");
    const { client: compressing } = withMessages(client.path, [true]);
    checks.large((await compressing.unaryCall(claiming(true))).response);
    checks.large((await client.unaryCall(claiming(false))).response);
  },

  async server_compressed_unary({ path }) {
    for (const value of [true, false]) {
      const { client, compression } = withMessages(path);
      checks.large((await client.unaryCall({ ...requests.large(), responseCompressed: { value } })).response);
      checks.compressedFlag(compression.received[0] ?? false, value);
    }
  },

  async client_compressed_streaming(client) {
    const [first, second] = requests.compressedInputs();
    checks.status(await client.statusOf(client.streamingInputCall([first])), "INVALID_ARGUMENT");
    const { client: compressing } = withMessages(client.path, [true, false]);
    checks.aggregated(await compressing.streamingInputCall([first, second]), requests.COMPRESSED_REQUEST_BYTES);
  },

  async server_compressed_streaming({ path }) {
    const { client, compression } = withMessages(path);
    checks.outputs(
      await client.streamingOutputCall(requests.compressedOutput()),
      requests.COMPRESSED_RESPONSES.map(({ size }) => size),
    );
    checks.compressedFlags(compression.received);
  },
});
