/**
 * Controls the compression of single messages. Connect compresses all messages of a call or none, and does not show
 * whether a message was compressed. On the wire, each message is an envelope with a flag for this. The protocols of
 * Connect use the same functions for envelopes. They are exported, but may change in any version.
 */

import { createContextKey, createContextValues, type Transport } from "@connectrpc/connect";
import { compressionGzip, createNodeHttpClient } from "@connectrpc/connect-node";
import {
  compressedFlag,
  encodeEnvelope,
  type UniversalHandler,
  type UniversalServerRequest,
} from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { BASE_URL, SocketSessionManager } from "samehost/connect";

import { MESSAGE_LIMITS } from "./dial.js";

const ENCODING = "grpc-encoding";

/** The size of the header of an envelope: the flags, and the size of the message. */
const HEADER_BYTES = 5;

/** Makes Connect announce gzip but compress no message. */
const NEVER = Infinity;

/** The compression of the messages of one call. */
export class MessageCompression {
  /** Whether each received message was compressed, in order. Set before the message is delivered. */
  readonly received: boolean[] = [];

  /** Whether to compress each message, in order. Must be set before the message is sent. */
  readonly toSend: boolean[] = [];

  /** Passes on a body of messages, and records whether each is compressed. */
  async *recording(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let header: number[] = [];
    let rest = 0;
    for await (const chunk of body) {
      for (let position = 0; position < chunk.length;) {
        if (rest > 0) {
          const taken = Math.min(rest, chunk.length - position);
          rest -= taken;
          position += taken;
          continue;
        }
        header.push(chunk[position++] ?? 0);
        if (header.length === HEADER_BYTES) {
          const [flags = 0, ...size] = header;
          this.received.push((flags & compressedFlag) === compressedFlag);
          rest = Buffer.from(size).readUInt32BE();
          header = [];
        }
      }
      yield chunk;
    }
  }

  /** Passes on a body of uncompressed messages, one envelope at a time, and compresses those that `toSend` selects. */
  async *compressing(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let count = 0;
    for await (const envelope of body) {
      const message = envelope.subarray(HEADER_BYTES);
      yield this.toSend[count++] === true
        ? encodeEnvelope(compressedFlag, await compressionGzip.compress(message))
        : envelope;
    }
  }
}

/** The key of the `MessageCompression` in the context of a call. */
export const messageCompression = createContextKey(new MessageCompression());

/** The options of a server whose handlers are wrapped by `withMessageCompression`. */
export const SERVER_COMPRESSION = { acceptCompression: [compressionGzip], compressMinBytes: NEVER };

/** Lets a method see which requests are compressed, and choose which responses to compress. */
export function withMessageCompression(handler: UniversalHandler): UniversalHandler {
  const wrapped = async (request: UniversalServerRequest): ReturnType<UniversalHandler> => {
    const compression = new MessageCompression();
    const contextValues = createContextValues().set(messageCompression, compression);
    const body = compression.recording(request.body as AsyncIterable<Uint8Array>);
    const response = await handler({ ...request, body, contextValues });
    if (response.body === undefined || response.header?.get(ENCODING) !== compressionGzip.name) {
      return response; // the client does not accept gzip
    }
    return { ...response, body: compression.compressing(response.body) };
  };
  return Object.assign(wrapped, handler);
}

/** Returns a transport for one call that uses `compression`. */
export function dialWithMessageCompression(path: string, compression: MessageCompression): Transport {
  const sessions = new SocketSessionManager(path);
  const httpClient = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessions });
  return createTransport({
    baseUrl: BASE_URL,
    httpClient: async ({ body, ...request }) => {
      const response = await httpClient({ ...request, ...(body && { body: compression.compressing(body) }) });
      return { ...response, body: compression.recording(response.body) };
    },
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [compressionGzip],
    sendCompression: compressionGzip,
    compressMinBytes: NEVER,
    ...MESSAGE_LIMITS,
  });
}
