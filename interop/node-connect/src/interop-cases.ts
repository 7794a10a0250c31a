/** The official cases; what they send and what they assert is in samehost-interop-common/interop. */

import { PassThrough } from "node:stream";

import { type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  createClient,
  decodeBinaryHeader,
  encodeBinaryHeader,
  type Transport,
} from "@connectrpc/connect";
import * as checks from "samehost-interop-common/interop/checks";
import { TRAILER } from "samehost-interop-common/interop/load-reports";
import * as requests from "samehost-interop-common/interop/requests";

import { dialWithMessageCompression, MessageCompression } from "./compression.js";
import { dial } from "./dial.js";
import { OrcaLoadReportSchema } from "./gen/samehost/interop/orca_load_report_pb.js";
import { OpenRcaService } from "./gen/samehost/interop/orca_service_pb.js";
import {
  EmptySchema,
  type StreamingInputCallRequestSchema,
  type StreamingOutputCallRequestSchema,
  type StreamingOutputCallResponse,
  TestService,
  UnimplementedService,
} from "./gen/samehost/interop/testing_pb.js";
import { statusOf } from "./status.js";

type TestClient = Client<typeof TestService>;

const { DEADLINE_MS, ECHO_INITIAL, ECHO_TRAILING } = requests;

/** The server under test: its path, and a connection to it. */
interface Peer {
  readonly path: string;
  readonly transport: Transport;
  readonly client: TestClient;
}

/** Runs one case on a connection of its own. */
export async function runCase(name: keyof typeof CASES, path: string): Promise<void> {
  const transport = dial(path);
  await CASES[name]({ path, transport, client: createClient(TestService, transport) });
}

export const CASES = {
  async empty_unary({ client }: Peer) {
    const response = await client.emptyCall({}, within(DEADLINE_MS));
    checks.empty(toBinary(EmptySchema, response).length);
  },

  async large_unary({ client }: Peer) {
    checks.large(await client.unaryCall(requests.large(), within(DEADLINE_MS)));
  },

  async cacheable_unary({ client }: Peer) {
    // Connect sends GET for its own protocol alone, and for methods without side effects, so these are POSTs, which no proxy
    // keeps; it is the server's answer, the same for the same request, that makes them equal.
    const request = requests.cacheable();
    const options = { ...within(DEADLINE_MS), headers: { [requests.USER_IP.key]: requests.USER_IP.value } };
    const first = await client.cacheableUnaryCall(request, options);
    checks.cached(first, await client.cacheableUnaryCall(request, options));
  },

  async client_compressed_unary({ path, client }: Peer) {
    const claiming = (value: boolean) => ({ ...requests.large(), expectCompressed: { value } });
    checks.status(await endOf(client.unaryCall(claiming(true), within(DEADLINE_MS))), "INVALID_ARGUMENT");
    const { client: compressing } = withMessages(path, [true]);
    checks.large(await compressing.unaryCall(claiming(true), within(DEADLINE_MS)));
    checks.large(await client.unaryCall(claiming(false), within(DEADLINE_MS)));
  },

  async server_compressed_unary({ path }: Peer) {
    for (const value of [true, false]) {
      const { client, compression } = withMessages(path);
      const request = { ...requests.large(), responseCompressed: { value } };
      checks.large(await client.unaryCall(request, within(DEADLINE_MS)));
      checks.compressedFlag(compression.received[0] ?? false, value);
    }
  },

  async client_streaming({ client }: Peer) {
    checks.aggregated(await sum(client, requests.inputs()), requests.REQUEST_BYTES);
  },

  async client_compressed_streaming({ path, client }: Peer) {
    const [first, second] = requests.compressedInputs();
    checks.status(await endOf(sum(client, [first])), "INVALID_ARGUMENT");
    const { client: compressing } = withMessages(path, [true, false]);
    checks.aggregated(await sum(compressing, [first, second]), requests.COMPRESSED_REQUEST_BYTES);
  },

  async server_streaming({ client }: Peer) {
    const request = requests.output(...requests.RESPONSE_BYTES);
    checks.outputs(await collect(client.streamingOutputCall(request, within(DEADLINE_MS))), requests.RESPONSE_BYTES);
  },

  async server_compressed_streaming({ path }: Peer) {
    const { client, compression } = withMessages(path);
    const responses = await collect(client.streamingOutputCall(requests.compressedOutput(), within(DEADLINE_MS)));
    checks.outputs(
      responses,
      requests.COMPRESSED_RESPONSES.map(({ size }) => size),
    );
    checks.compressedFlags(compression.received);
  },

  async ping_pong({ client }: Peer) {
    await withDuplex(client, async (call) => {
      for (const { request, size } of requests.pingPong()) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async half_duplex({ client }: Peer) {
    const outputs = requests.RESPONSE_BYTES.map((size) => requests.output(size));
    const responses = client.halfDuplexCall(stream(outputs), within(DEADLINE_MS));
    checks.outputs(await collect(responses), requests.RESPONSE_BYTES);
  },

  async empty_stream({ client }: Peer) {
    await withDuplex(client, async (call) => {
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async custom_metadata({ client }: Peer) {
    const metadata = new Metadata();
    checks.large(await client.unaryCall(requests.large(), { ...within(DEADLINE_MS), ...metadata.options }));
    metadata.check();
    await withDuplex(
      client,
      async (call) => {
        call.send(requests.largeOutput());
        call.halfClose();
        checks.output(await call.receive(), requests.LARGE_RESPONSE_BYTES);
        checks.end(await call.receive());
      },
      metadata.options,
    );
    metadata.check();
  },

  async status_code_and_message({ client }: Peer) {
    const { STATUS: responseStatus } = requests;
    const unary = client.unaryCall({ responseStatus }, within(DEADLINE_MS));
    checks.status(await endOf(unary), "UNKNOWN", responseStatus.message);
    await withDuplex(client, async (call) => {
      call.send({ responseStatus });
      call.halfClose();
      checks.status(await endOf(call.receive()), "UNKNOWN", responseStatus.message);
    });
  },

  async special_status_message({ client }: Peer) {
    const { SPECIAL_STATUS: responseStatus } = requests;
    const call = client.unaryCall({ responseStatus }, within(DEADLINE_MS));
    checks.status(await endOf(call), "UNKNOWN", responseStatus.message);
  },

  async unimplemented_method({ client }: Peer) {
    checks.status(await endOf(client.unimplementedCall({}, within(DEADLINE_MS))), "UNIMPLEMENTED");
  },

  async unimplemented_service({ transport }: Peer) {
    const client = createClient(UnimplementedService, transport);
    checks.status(await endOf(client.unimplementedCall({}, within(DEADLINE_MS))), "UNIMPLEMENTED");
  },

  async cancel_after_begin({ client }: Peer) {
    const cancelling = new AbortController();
    const noRequests = new PassThrough({
      objectMode: true,
      read: () => {
        cancelling.abort(); // the call has begun: its first request is asked for
      },
    });
    const call = client.streamingInputCall(noRequests, { ...within(DEADLINE_MS), signal: cancelling.signal });
    checks.status(await endOf(call), "CANCELLED");
  },

  async cancel_after_first_response({ client }: Peer) {
    await withDuplex(client, async (call) => {
      for (const { request, size } of requests.pingPong().slice(0, 1)) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.cancel();
      checks.status(await endOf(call.receive()), "CANCELLED");
    });
  },

  async timeout_on_sleeping_server({ client }: Peer) {
    await withDuplex(
      client,
      async (call) => {
        call.send(requests.sleeper());
        checks.status(await endOf(call.receive()), "DEADLINE_EXCEEDED");
      },
      within(requests.TIMEOUT_MS),
    );
  },

  async pick_first_unary({ client }: Peer) {
    const ids: string[] = [];
    for (let call = 0; call < requests.PICK_FIRST_CALLS; call++) {
      ids.push((await client.unaryCall({ fillServerId: true }, within(DEADLINE_MS))).serverId);
    }
    checks.sameServer(ids);
  },

  async concurrent_large_unary({ client }: Peer) {
    const request = requests.large();
    const call = async () => {
      checks.large(await client.unaryCall(request, within(requests.CONCURRENT_DEADLINE_MS)));
    };
    await Promise.all(Array.from({ length: requests.CONCURRENT_CALLS }, call));
  },

  async rpc_soak(peer: Peer) {
    await checks.soak(() => CASES.large_unary(peer));
  },

  async channel_soak({ path }: Peer) {
    await checks.soak(() => runCase("large_unary", path));
  },

  async orca_per_rpc({ client }: Peer) {
    const serialized: string[] = [];
    await client.unaryCall(
      { orcaPerQueryReport: requests.PER_CALL_REPORT },
      {
        ...within(DEADLINE_MS),
        onTrailer: (trailer) => {
          serialized.push(trailer.get(TRAILER) ?? "");
        },
      },
    );
    checks.reportedWithCall(serialized.map((report) => decodeBinaryHeader(report, OrcaLoadReportSchema)));
  },

  async orca_oob({ client, transport }: Peer) {
    const listening = new AbortController();
    const reports = createClient(OpenRcaService, transport)
      .streamCoreMetrics(
        { reportInterval: { nanos: requests.REPORT_INTERVAL_NANOS } },
        { ...within(DEADLINE_MS), signal: listening.signal },
      )
      [Symbol.asyncIterator]();
    try {
      await withDuplex(client, async (call) => {
        for (const report of requests.OUT_OF_BAND_REPORTS) {
          call.send(requests.reporting(report));
          checks.output(await call.receive(), 1);
          // Without `return`, by which a loop that is left would end the call.
          await checks.awaitReport({ [Symbol.asyncIterator]: () => ({ next: () => reports.next() }) }, report);
        }
        call.halfClose();
        checks.end(await call.receive());
      });
    } finally {
      listening.abort();
    }
  },
} as const satisfies Record<string, (peer: Peer) => Promise<void>>;

/** The metadata of custom_metadata: what is sent, and what came back. */
class Metadata {
  private header = new Headers();
  private trailer = new Headers();

  readonly options: CallOptions = {
    headers: {
      [ECHO_INITIAL.key]: ECHO_INITIAL.value,
      [ECHO_TRAILING.key]: encodeBinaryHeader(ECHO_TRAILING.value),
    },
    onHeader: (header) => {
      this.header = header;
    },
    onTrailer: (trailer) => {
      this.trailer = trailer;
    },
  };

  check(): void {
    const initial = this.header.get(ECHO_INITIAL.key);
    const trailing = this.trailer.get(ECHO_TRAILING.key);
    checks.echoes(initial === null ? [] : [initial], trailing === null ? [] : [decodeBinaryHeader(trailing)]);
  }
}

/** A FullDuplexCall whose requests are sent one by one. */
class Duplex {
  private readonly requests = new PassThrough({ objectMode: true });
  private readonly cancelling = new AbortController();
  private readonly responses: AsyncIterator<StreamingOutputCallResponse, undefined>;

  constructor(client: TestClient, options: CallOptions) {
    const all = { ...within(DEADLINE_MS), ...options, signal: this.cancelling.signal };
    const responses = client.fullDuplexCall(this.requests, all);
    this.responses = responses[Symbol.asyncIterator]() as typeof this.responses;
  }

  send(request: MessageInitShape<typeof StreamingOutputCallRequestSchema>): void {
    this.requests.write(request);
  }

  halfClose(): void {
    this.requests.end();
  }

  cancel(): void {
    this.cancelling.abort();
  }

  /** Waits for a response; undefined is the end. */
  async receive(): Promise<StreamingOutputCallResponse | undefined> {
    const { value } = await this.responses.next();
    return value;
  }
}

async function withDuplex(
  client: TestClient,
  use: (call: Duplex) => Promise<void>,
  options: CallOptions = {},
): Promise<void> {
  const call = new Duplex(client, options);
  try {
    await use(call);
  } finally {
    call.cancel();
  }
}

/** A client for one call whose messages are seen, and sent compressed as it is said here. */
function withMessages(
  path: string,
  toSend: readonly boolean[] = [],
): { client: TestClient; compression: MessageCompression } {
  const compression = new MessageCompression();
  compression.toSend.push(...toSend);
  return { client: createClient(TestService, dialWithMessageCompression(path, compression)), compression };
}

async function sum(
  client: TestClient,
  inputs: MessageInitShape<typeof StreamingInputCallRequestSchema>[],
): Promise<{ aggregatedPayloadSize: number }> {
  return client.streamingInputCall(stream(inputs), within(DEADLINE_MS));
}

// eslint-disable-next-line @typescript-eslint/require-await -- an iterable that is asynchronous is what Connect takes
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

function within(timeoutMs: number): { timeoutMs: number } {
  return { timeoutMs };
}

/** The status that a call ends with, whichever it is. */
async function endOf(call: Promise<unknown>): Promise<checks.CallStatus> {
  try {
    await call;
    return { code: "OK", message: "" };
  } catch (error) {
    return statusOf(error);
  }
}
