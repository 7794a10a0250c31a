/** The official cases, independent of a library. requests.ts has their requests, and checks.ts their assertions. */

import * as checks from "./checks.js";
import type { LoadReport, TestReport } from "./load-reports.js";
import * as requests from "./requests.js";
import type { Runner } from "./runner.js";

export interface CallOptions {
  readonly deadlineMs?: number;
  /** Sends the metadata that the server echoes. */
  readonly echo?: boolean;
}

/** The echoed metadata: first from the headers, then from the trailers. */
export type Echoes = Parameters<typeof checks.echoes>;

export interface UnaryRequest extends Partial<requests.Sized> {
  readonly expectCompressed?: { value: boolean };
  readonly responseCompressed?: { value: boolean };
  readonly responseStatus?: { code: number; message: string };
  readonly fillServerId?: boolean;
  readonly orcaPerQueryReport?: TestReport;
}

export interface UnaryAnswer {
  readonly response: checks.WithPayload & { readonly serverId: string };
  readonly echoes: Echoes;
  /** The load reports in the trailers. */
  readonly reports: LoadReport[];
}

export type DuplexRequest = Partial<requests.Output> & {
  readonly responseStatus?: { code: number; message: string };
  readonly orcaOobReport?: TestReport;
};

/** A FullDuplexCall whose requests are sent one by one. */
export interface Duplex {
  send(request: DuplexRequest): void;
  halfClose(): void;
  cancel(): void;
  /** Receives the next response, or undefined at the end of the stream. */
  receive(): Promise<checks.WithPayload | undefined>;
  echoes(): Echoes;
}

/** A client with its own connection to the server under test. Each library implements it. */
export interface TestClient {
  readonly path: string;
  close(): void;
  /** Returns the size of the response in bytes. */
  emptyCall(): Promise<number>;
  unaryCall(request: UnaryRequest, options?: CallOptions): Promise<UnaryAnswer>;
  cacheableUnaryCall(request: { payload: requests.Payload }): Promise<checks.WithPayload>;
  streamingInputCall(inputs: readonly requests.Input[]): Promise<{ aggregatedPayloadSize: number }>;
  streamingOutputCall(request: requests.Output): Promise<checks.WithPayload[]>;
  halfDuplexCall(outputs: readonly requests.Output[]): Promise<checks.WithPayload[]>;
  fullDuplexCall(options?: CallOptions): Duplex;
  unimplementedMethod(): Promise<unknown>;
  unimplementedService(): Promise<unknown>;
  /** Cancels a StreamingInputCall as soon as it has started. */
  cancelledCall(): Promise<unknown>;
  /**
   * Receives the reports of OpenRcaService until `cancel` is called. Leaving a loop over them does not end the call.
   */
  loadReports(): { readonly reports: AsyncIterable<LoadReport>; readonly cancel: () => void };
  /** Returns the status of a call, OK or another. */
  statusOf(call: Promise<unknown>): Promise<checks.CallStatus>;
}

export type Cases<Client> = Record<string, (client: Client) => Promise<void>>;

/** Returns a runner of the cases in this file and those of one library. Each case uses its own connection. */
export function casesWith<Client extends TestClient>(
  connect: (path: string) => Client,
  compression: Cases<Client>,
): Runner {
  const cases: Cases<Client> = { ...CASES, ...compression };
  const runCase = async (name: string, path: string): Promise<void> => {
    const client = connect(path);
    try {
      await cases[name]?.(client);
    } finally {
      client.close();
    }
  };
  cases["channel_soak"] = ({ path }) => checks.soak(() => runCase("large_unary", path));
  return { caseNames: Object.keys(cases), runCase };
}

const CASES = {
  async empty_unary(client) {
    checks.empty(await client.emptyCall());
  },

  async large_unary(client) {
    checks.large((await client.unaryCall(requests.large())).response);
  },

  async cacheable_unary(client) {
    // Neither library sends GET, so these calls are POSTs, which no proxy caches. The responses are equal because the
    // server answers the same request with the same response.
    const request = requests.cacheable();
    checks.cached(await client.cacheableUnaryCall(request), await client.cacheableUnaryCall(request));
  },

  async client_streaming(client) {
    checks.aggregated(await client.streamingInputCall(requests.inputs()), requests.REQUEST_BYTES);
  },

  async server_streaming(client) {
    const responses = await client.streamingOutputCall(requests.output(...requests.RESPONSE_BYTES));
    checks.outputs(responses, requests.RESPONSE_BYTES);
  },

  async ping_pong(client) {
    await withDuplex(client, async (call) => {
      for (const { request, size } of requests.pingPong()) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async half_duplex(client) {
    const responses = await client.halfDuplexCall(requests.RESPONSE_BYTES.map((size) => requests.output(size)));
    checks.outputs(responses, requests.RESPONSE_BYTES);
  },

  async empty_stream(client) {
    await withDuplex(client, async (call) => {
      call.halfClose();
      checks.end(await call.receive());
    });
  },

  async custom_metadata(client) {
    const { response, echoes } = await client.unaryCall(requests.large(), { echo: true });
    checks.large(response);
    checks.echoes(...echoes);
    await withDuplex(
      client,
      async (call) => {
        call.send(requests.largeOutput());
        call.halfClose();
        checks.output(await call.receive(), requests.LARGE_RESPONSE_BYTES);
        checks.end(await call.receive());
        checks.echoes(...call.echoes());
      },
      { echo: true },
    );
  },

  async status_code_and_message(client) {
    const { STATUS: responseStatus } = requests;
    const ended = await client.statusOf(client.unaryCall({ responseStatus }));
    checks.status(ended, "UNKNOWN", responseStatus.message);
    await withDuplex(client, async (call) => {
      call.send({ responseStatus });
      call.halfClose();
      checks.status(await client.statusOf(call.receive()), "UNKNOWN", responseStatus.message);
    });
  },

  async special_status_message(client) {
    const { SPECIAL_STATUS: responseStatus } = requests;
    const ended = await client.statusOf(client.unaryCall({ responseStatus }));
    checks.status(ended, "UNKNOWN", responseStatus.message);
  },

  async unimplemented_method(client) {
    checks.status(await client.statusOf(client.unimplementedMethod()), "UNIMPLEMENTED");
  },

  async unimplemented_service(client) {
    checks.status(await client.statusOf(client.unimplementedService()), "UNIMPLEMENTED");
  },

  async cancel_after_begin(client) {
    checks.status(await client.statusOf(client.cancelledCall()), "CANCELLED");
  },

  async cancel_after_first_response(client) {
    await withDuplex(client, async (call) => {
      for (const { request, size } of requests.pingPong().slice(0, 1)) {
        call.send(request);
        checks.output(await call.receive(), size);
      }
      call.cancel();
      checks.status(await client.statusOf(call.receive()), "CANCELLED");
    });
  },

  async timeout_on_sleeping_server(client) {
    await withDuplex(
      client,
      async (call) => {
        call.send(requests.sleeper());
        checks.status(await client.statusOf(call.receive()), "DEADLINE_EXCEEDED");
      },
      { deadlineMs: requests.TIMEOUT_MS },
    );
  },

  async pick_first_unary(client) {
    const ids: string[] = [];
    for (let call = 0; call < requests.PICK_FIRST_CALLS; call++) {
      ids.push((await client.unaryCall({ fillServerId: true })).response.serverId);
    }
    checks.sameServer(ids);
  },

  async concurrent_large_unary(client) {
    const request = requests.large();
    const call = async () => {
      checks.large((await client.unaryCall(request, { deadlineMs: requests.CONCURRENT_DEADLINE_MS })).response);
    };
    await Promise.all(Array.from({ length: requests.CONCURRENT_CALLS }, call));
  },

  async rpc_soak(client) {
    await checks.soak(() => CASES.large_unary(client));
  },

  async orca_per_rpc(client) {
    checks.reportedWithCall((await client.unaryCall({ orcaPerQueryReport: requests.PER_CALL_REPORT })).reports);
  },

  async orca_oob(client) {
    const { reports, cancel } = client.loadReports();
    try {
      await withDuplex(client, async (call) => {
        for (const report of requests.OUT_OF_BAND_REPORTS) {
          call.send(requests.reporting(report));
          checks.output(await call.receive(), 1);
          await checks.awaitReport(reports, report);
        }
        call.halfClose();
        checks.end(await call.receive());
      });
    } finally {
      cancel();
    }
  },
} satisfies Cases<TestClient>;

async function withDuplex(
  client: TestClient,
  use: (call: Duplex) => Promise<void>,
  options: CallOptions = {},
): Promise<void> {
  const call = client.fullDuplexCall(options);
  try {
    await use(call);
  } finally {
    call.cancel();
  }
}
