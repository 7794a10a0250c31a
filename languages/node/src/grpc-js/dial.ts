/** A grpc-js channel to a Unix domain socket. */

import { type ChannelInterface as Channel, type ChannelOptions, Client, credentials } from "@grpc/grpc-js";

import { parseAddress } from "../address.js";

const MIB = 1024 * 1024;

const CHANNEL_OPTIONS: ChannelOptions = {
  // PROTOCOL.md requires it. grpc-js uses it for `unix:` too (grpc-js src/resolver-uds.ts).
  "grpc.default_authority": "localhost",
  // Connecting to a socket takes microseconds, so clients retry often. With the default backoff of gRPC, 1 s to 120 s,
  // a client would find a server that has just started a second late.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 500,
  // The memory for one call and for all calls that grpc-js keeps to retry calls that a stopping server did not process
  // (gRFC A6). With the defaults, 1 MiB and 16 MiB, some of 1000 concurrent calls of 270 KB failed when their
  // connection reached its maximum age.
  "grpc.per_rpc_retry_buffer_size": 8 * MIB,
  "grpc.retry_buffer_size": 512 * MIB,
  // Gives each channel its own connection. By default the channels of a process share connections.
  "grpc.use_local_subchannel_pool": 1,
};

/** The constructor of a generated client. */
type ClientConstructor<Stub> = new (
  address: string,
  channelCredentials: ReturnType<typeof credentials.createInsecure>,
  options: { channelOverride: Channel },
) => Stub;

/**
 * Returns a channel without TLS to the server on a path. The channel connects at the first call. A call with
 * `new Metadata({ waitForReady: true })` waits for a server that starts later.
 *
 * @param options channel options, which replace those that this function sets
 * @throws AddressError: the address is invalid
 */
export function dial(path: string, options: ChannelOptions = {}): Channel {
  const all = { ...CHANNEL_OPTIONS, ...options };
  return new Client(`unix:${parseAddress(path)}`, credentials.createInsecure(), all).getChannel();
}

/** Returns a generated client that uses this channel. */
export function createClient<Stub>(constructor: ClientConstructor<Stub>, channel: Channel): Stub {
  return new constructor(channel.getTarget(), credentials.createInsecure(), { channelOverride: channel });
}
