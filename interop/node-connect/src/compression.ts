/**
 * Which messages are compressed, one by one. Connect compresses all messages of a call or none, and tells nobody how one came;
 * but below it a message is an envelope with a flag. The functions for envelopes are those with which Connect's own
 * protocols are made: exported, but free to change with any version.
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

/** What an envelope begins with: its flags, and the size of its message. */
const HEADER_BYTES = 5;

/** Has Connect announce gzip and leave the messages alone. */
const NEVER = Infinity;

/** What one call knows of the compression of its messages. */
export class MessageCompression {
  /** Whether each message came compressed, in order; it is there before the message is. */
  readonly received: boolean[] = [];

  /** Whether each message is to be compressed, in order; to be there before the message is. */
  readonly toSend: boolean[] = [];

  /** Passes on a body of messages, and notes how each came. */
  async *noting(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
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

  /** Passes on a body of plain messages, of which Connect gives one at a time, and compresses those that are to be. */
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

/** Where a service finds the `MessageCompression` of a call. */
export const messageCompression = createContextKey(new MessageCompression());

/** The options of a server whose handlers are wrapped by `withMessageCompression`. */
export const SERVER_COMPRESSION = { acceptCompression: [compressionGzip], compressMinBytes: NEVER };

/** Lets a method see and choose which messages are compressed. */
export function withMessageCompression(handler: UniversalHandler): UniversalHandler {
  const wrapped = async (request: UniversalServerRequest): ReturnType<UniversalHandler> => {
    const compression = new MessageCompression();
    const contextValues = createContextValues().set(messageCompression, compression);
    const body = compression.noting(request.body as AsyncIterable<Uint8Array>);
    const response = await handler({ ...request, body, contextValues });
    if (response.body === undefined || response.header?.get(ENCODING) !== compressionGzip.name) {
      return response; // the caller takes no gzip
    }
    return { ...response, body: compression.compressing(response.body) };
  };
  return Object.assign(wrapped, handler);
}

/** A transport for a call whose messages are seen and chosen. */
export function dialWithMessageCompression(path: string, compression: MessageCompression): Transport {
  const sessions = new SocketSessionManager(path);
  const httpClient = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessions });
  return createTransport({
    baseUrl: BASE_URL,
    httpClient: async ({ body, ...request }) => {
      const response = await httpClient({ ...request, ...(body && { body: compression.compressing(body) }) });
      return { ...response, body: compression.noting(response.body) };
    },
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [compressionGzip],
    sendCompression: compressionGzip,
    compressMinBytes: NEVER,
    ...MESSAGE_LIMITS,
  });
}
