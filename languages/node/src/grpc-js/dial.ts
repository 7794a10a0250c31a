/** A grpc-js channel to a Unix domain socket. */

import { type ChannelInterface as Channel, type ChannelOptions, Client, credentials } from "@grpc/grpc-js";

import { parseAddress } from "../address.js";

const MIB = 1024 * 1024;

const CHANNEL_OPTIONS: ChannelOptions = {
  // What PROTOCOL.md asks for. It is grpc-js's own choice for `unix:` too (grpc-js src/resolver-uds.ts).
  "grpc.default_authority": "localhost",
  // Dialling a socket costs a client microseconds, so it is done often: with gRPC's own backoff, of 1 s to 120 s, a client
  // would come to a server that has just started a second late.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
  // How much of a call, and of all calls, is kept to send it again when a server that stops says that it never began it
  // (gRFC A6). With grpc-js's 1 MiB and 16 MiB, some of 1000 calls of 270 KB at once failed as their connection aged out.
  "grpc.per_rpc_retry_buffer_size": 8 * MIB,
  "grpc.retry_buffer_size": 512 * MIB,
  // The channels of a process share their connections otherwise, and here each is to have its own.
  "grpc.use_local_subchannel_pool": 1,
};

/** The constructor of a generated client. */
type ClientConstructor<Stub> = new (
  address: string,
  channelCredentials: ReturnType<typeof credentials.createInsecure>,
  options: { channelOverride: Channel },
) => Stub;

/**
 * Returns a channel to the server at a path, without TLS. Nothing is dialled before the first call, and a call with
 * `new Metadata({ waitForReady: true })` waits for a server that starts later.
 *
 * @param options replace what is set here
 * @throws AddressError
 */
export function dial(path: string, options: ChannelOptions = {}): Channel {
  const all = { ...CHANNEL_OPTIONS, ...options };
  return new Client(`unix:${parseAddress(path)}`, credentials.createInsecure(), all).getChannel();
}

/** Returns a generated client that uses this channel. */
export function createClient<Stub>(constructor: ClientConstructor<Stub>, channel: Channel): Stub {
  return new constructor(channel.getTarget(), credentials.createInsecure(), { channelOverride: channel });
}
