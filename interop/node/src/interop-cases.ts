/** The official cases; what they send and what they assert is in samehost-interop-common/interop. */

import {
  type CallOptions,
  type ChannelInterface as Channel,
  type ClientDuplexStream,
  compressionAlgorithms,
  Metadata,
} from "@grpc/grpc-js";
import * as checks from "samehost-interop-common/interop/checks";
import { TRAILER } from "samehost-interop-common/interop/load-reports";
import * as requests from "samehost-interop-common/interop/requests";
import { createClient } from "samehost/grpc-js";

import { type Answer, answerTo, statusOf } from "./calls.js";
import { uncompressed } from "./compression.js";
import { dial } from "./dial.js";
import { OrcaLoadReport } from "./gen/samehost/interop/orca_load_report.js";
import { OrcaLoadReportRequest, OpenRcaServiceClient } from "./gen/samehost/interop/orca_service.js";
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

type Fields<Message extends { fromPartial: (fields: never) => unknown }> = Parameters<Message["fromPartial"]>[0];

/** The server under test: its path, and a channel to it. */
interface Peer {
  readonly path: string;
  readonly channel: Channel;
}

/** Runs one case on a channel of its own. */
export async function runCase(name: keyof typeof CASES, path: string): Promise<void> {
  await withChannel(path, {}, (channel) => CASES[name]({ path, channel }));
}

export const CASES = {
  async empty_unary({ channel }: Peer) {
    const { response } = await answerTo<Empty>((callback) =>
      createClient(TestServiceClient, channel).emptyCall({}, new Metadata(), options(), callback),
    );
    checks.empty(Empty.encode(response).finish().length);
  },

  async large_unary({ channel }: Peer) {
    checks.large((await unaryCall(channel, requests.large())).response);
  },

  async cacheable_unary({ channel }: Peer) {
    // grpc-js never sends GET, whatever the metadata's cacheableRequest says, so these are POSTs, which no proxy keeps; it
    // is the server's answer, the same for the same request, that makes them equal.
    const request = SimpleRequest.fromPartial(requests.cacheable());
    const [first, second] = [await cacheableCall(channel, request), await cacheableCall(channel, request)];
    checks.cached(first, second);
  },

  async client_compressed_unary({ path, channel }: Peer) {
    const claiming = (compressed: boolean) => ({ ...requests.large(), expectCompressed: { value: compressed } });
    checks.status(await statusOf(unaryCall(channel, claiming(true))), "INVALID_ARGUMENT");
    await withChannel(path, GZIP, async (compressing) => {
      checks.large((await unaryCall(compressing, claiming(true))).response);
    });
    checks.large((await unaryCall(channel, claiming(false))).response);
  },

  async server_compressed_unary({ channel }: Peer) {
    for (const value of [true, false]) {
      const { response } = await unaryCall(channel, { ...requests.large(), responseCompressed: { value } });
      checks.large(response);
    }
    checks.compressionIsHidden(HIDDEN);
  },

  async client_streaming({ channel }: Peer) {
    checks.aggregated(await streamingInputCall(channel, requests.inputs()), requests.REQUEST_BYTES);
  },

  async client_compressed_streaming({ path, channel }: Peer) {
    const [first, second] = requests.compressedInputs();
    checks.status(await statusOf(streamingInputCall(channel, [first])), "INVALID_ARGUMENT");
    await withChannel(path, GZIP, async (compressing) => {
      const response = await streamingInputCall(compressing, [first, second], {
        interceptors: [
          uncompressed((request) => (request as StreamingInputCallRequest).expectCompressed?.value === false),
        ],
      });
      checks.aggregated(response, requests.COMPRESSED_REQUEST_BYTES);
    });
  },

  async server_streaming({ channel }: Peer) {
    checks.outputs(
      await streamingOutputCall(channel, requests.output(...requests.RESPONSE_BYTES)),
      requests.RESPONSE_BYTES,
    );
  },

  async server_compressed_streaming({ channel }: Peer) {
    const responses = await streamingOutputCall(channel, requests.compressedOutput());
    checks.outputs(
      responses,
      requests.COMPRESSED_RESPONSES.map(({ size }) => size),
    );
    checks.compressionIsHidden(HIDDEN);
  },

  async ping_pong({ channel }: Peer) {
    await withDuplex(channel, async (call) => {
      for (const { request, size } of requests.pingPong()) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async half_duplex({ channel }: Peer) {
    const call = createClient(TestServiceClient, channel).halfDuplexCall(new Metadata(), options());
    for (const size of requests.RESPONSE_BYTES) {
      call.write(StreamingOutputCallRequest.fromPartial(requests.output(size)));
    }
    call.end();
    checks.outputs(await allOf(call), requests.RESPONSE_BYTES);
  },

  async empty_stream({ channel }: Peer) {
    await withDuplex(channel, async (call) => {
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async custom_metadata({ channel }: Peer) {
    const { ECHO_INITIAL, ECHO_TRAILING } = requests;
    const metadata = new Metadata();
    metadata.set(ECHO_INITIAL.key, ECHO_INITIAL.value);
    metadata.set(ECHO_TRAILING.key, ECHO_TRAILING.value);
    const { response, headers, trailers } = await unaryCall(channel, requests.large(), { metadata });
    checks.large(response);
    checks.echoes(headers.get(ECHO_INITIAL.key), trailers.get(ECHO_TRAILING.key));
    await withDuplex(
      channel,
      async (call) => {
        call.send(requests.largeOutput());
        call.halfClose();
        checks.output(await call.receive(), requests.LARGE_RESPONSE_BYTES);
        checks.end(await call.receive());
        checks.echoes(call.headers.get(ECHO_INITIAL.key), call.trailers.get(ECHO_TRAILING.key));
      },
      { metadata },
    );
  },

  async status_code_and_message({ channel }: Peer) {
    const { STATUS: responseStatus } = requests;
    checks.status(await statusOf(unaryCall(channel, { responseStatus })), "UNKNOWN", responseStatus.message);
    await withDuplex(channel, async (call) => {
      call.send({ responseStatus });
      call.halfClose();
      checks.status(await statusOf(call.receive()), "UNKNOWN", responseStatus.message);
    });
  },

  async special_status_message({ channel }: Peer) {
    const { SPECIAL_STATUS: responseStatus } = requests;
    checks.status(await statusOf(unaryCall(channel, { responseStatus })), "UNKNOWN", responseStatus.message);
  },

  async unimplemented_method({ channel }: Peer) {
    const call = answerTo<Empty>((callback) =>
      createClient(TestServiceClient, channel).unimplementedCall({}, new Metadata(), options(), callback),
    );
    checks.status(await statusOf(call), "UNIMPLEMENTED");
  },

  async unimplemented_service({ channel }: Peer) {
    const call = answerTo<Empty>((callback) =>
      createClient(UnimplementedServiceClient, channel).unimplementedCall({}, new Metadata(), options(), callback),
    );
    checks.status(await statusOf(call), "UNIMPLEMENTED");
  },

  async cancel_after_begin({ channel }: Peer) {
    const call = answerTo<StreamingInputCallResponse>((callback) => {
      const begun = createClient(TestServiceClient, channel).streamingInputCall(new Metadata(), options(), callback);
      begun.cancel();
      return begun;
    });
    checks.status(await statusOf(call), "CANCELLED");
  },

  async cancel_after_first_response({ channel }: Peer) {
    await withDuplex(channel, async (call) => {
      for (const { request, size } of requests.pingPong().slice(0, 1)) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.cancel();
      checks.status(await statusOf(call.receive()), "CANCELLED");
    });
  },

  async timeout_on_sleeping_server({ channel }: Peer) {
    await withDuplex(
      channel,
      async (call) => {
        call.send(requests.sleeper());
        checks.status(await statusOf(call.receive()), "DEADLINE_EXCEEDED");
      },
      { deadlineMs: requests.TIMEOUT_MS },
    );
  },

  async pick_first_unary({ channel }: Peer) {
    const ids: string[] = [];
    for (let call = 0; call < requests.PICK_FIRST_CALLS; call++) {
      ids.push((await unaryCall(channel, { fillServerId: true })).response.serverId);
    }
    checks.sameServer(ids);
  },

  async concurrent_large_unary({ channel }: Peer) {
    const request = requests.large();
    const call = async () => {
      const { response } = await unaryCall(channel, request, { deadlineMs: requests.CONCURRENT_DEADLINE_MS });
      checks.large(response);
    };
    await Promise.all(Array.from({ length: requests.CONCURRENT_CALLS }, call));
  },

  async rpc_soak(peer: Peer) {
    await checks.soak(() => CASES.large_unary(peer));
  },

  async channel_soak({ path }: Peer) {
    await checks.soak(() => runCase("large_unary", path));
  },

  async orca_per_rpc({ channel }: Peer) {
    const { trailers } = await unaryCall(channel, { orcaPerQueryReport: requests.PER_CALL_REPORT });
    checks.reportedWithCall(trailers.get(TRAILER).map((report) => OrcaLoadReport.decode(Buffer.from(report))));
  },

  async orca_oob({ channel }: Peer) {
    const request = OrcaLoadReportRequest.fromPartial({ reportInterval: { nanos: requests.REPORT_INTERVAL_NANOS } });
    const reports = createClient(OpenRcaServiceClient, channel).streamCoreMetrics(request, options());
    try {
      await withDuplex(channel, async (call) => {
        for (const report of requests.OUT_OF_BAND_REPORTS) {
          call.send(requests.reporting(report));
          checks.output(await call.receive(), 1);
          await checks.awaitReport(reports.iterator({ destroyOnReturn: false }), report);
        }
        call.halfClose();
        checks.end(await call.receive());
      });
    } finally {
      reports.on("error", () => undefined); // that it was cancelled
      reports.cancel();
    }
  },
} as const satisfies Record<string, (peer: Peer) => Promise<void>>;

const GZIP = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };

const HIDDEN = "grpc-js tells no client whether a message came compressed";

/** A FullDuplexCall whose requests are sent one by one. */
class Duplex {
  headers = new Metadata();
  trailers = new Metadata();
  private readonly responses: AsyncIterator<StreamingOutputCallResponse, undefined>;

  constructor(private readonly call: ClientDuplexStream<StreamingOutputCallRequest, StreamingOutputCallResponse>) {
    this.responses = call[Symbol.asyncIterator]() as AsyncIterator<StreamingOutputCallResponse, undefined>;
    call.on("metadata", (headers) => {
      this.headers = headers;
    });
    call.on("status", ({ metadata }) => {
      this.trailers = metadata;
    });
    call.on("error", () => undefined); // `receive` tells
  }

  send(request: Fields<typeof StreamingOutputCallRequest>): void {
    this.call.write(StreamingOutputCallRequest.fromPartial(request));
  }

  halfClose(): void {
    this.call.end();
  }

  cancel(): void {
    this.call.cancel();
  }

  /** Waits for a response; undefined is the end. */
  async receive(): Promise<StreamingOutputCallResponse | undefined> {
    const next = await this.responses.next();
    return next.done === true ? undefined : next.value;
  }
}

async function withDuplex(
  channel: Channel,
  use: (call: Duplex) => Promise<void>,
  { metadata = new Metadata(), deadlineMs = requests.DEADLINE_MS } = {},
): Promise<void> {
  const call = new Duplex(createClient(TestServiceClient, channel).fullDuplexCall(metadata, options(deadlineMs)));
  try {
    await use(call);
  } finally {
    call.cancel();
  }
}

async function withChannel(
  path: string,
  channelOptions: object,
  use: (channel: Channel) => Promise<void>,
): Promise<void> {
  const channel = dial(path, channelOptions);
  try {
    await use(channel);
  } finally {
    channel.close();
  }
}

function unaryCall(
  channel: Channel,
  request: Fields<typeof SimpleRequest>,
  { metadata = new Metadata(), deadlineMs = requests.DEADLINE_MS } = {},
): Promise<Answer<SimpleResponse>> {
  const client = createClient(TestServiceClient, channel);
  const message = SimpleRequest.fromPartial(request);
  return answerTo((callback) => client.unaryCall(message, metadata, options(deadlineMs), callback));
}

async function cacheableCall(channel: Channel, request: SimpleRequest): Promise<SimpleResponse> {
  const metadata = new Metadata();
  metadata.set(requests.USER_IP.key, requests.USER_IP.value);
  const { response } = await answerTo<SimpleResponse>((callback) =>
    createClient(TestServiceClient, channel).cacheableUnaryCall(request, metadata, options(), callback),
  );
  return response;
}

async function streamingInputCall(
  channel: Channel,
  inputs: Fields<typeof StreamingInputCallRequest>[],
  callOptions: CallOptions = {},
): Promise<StreamingInputCallResponse> {
  const { response } = await answerTo<StreamingInputCallResponse>((callback) => {
    const client = createClient(TestServiceClient, channel);
    const call = client.streamingInputCall(new Metadata(), { ...options(), ...callOptions }, callback);
    for (const input of inputs) {
      call.write(StreamingInputCallRequest.fromPartial(input));
    }
    call.end();
    return call;
  });
  return response;
}

function streamingOutputCall(
  channel: Channel,
  request: Fields<typeof StreamingOutputCallRequest>,
): Promise<StreamingOutputCallResponse[]> {
  const client = createClient(TestServiceClient, channel);
  return allOf(client.streamingOutputCall(StreamingOutputCallRequest.fromPartial(request), options()));
}

async function allOf<Response>(responses: { toArray(): Promise<unknown[]> }): Promise<Response[]> {
  return (await responses.toArray()) as Response[];
}

function options(deadlineMs = requests.DEADLINE_MS): { deadline: number } {
  return { deadline: Date.now() + deadlineMs };
}
