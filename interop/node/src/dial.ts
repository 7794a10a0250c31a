/** A grpc-js channel to a Unix domain socket. */

import { type ChannelInterface as Channel, type ChannelOptions, Client, credentials } from "@grpc/grpc-js";

import { formatAddress } from "samehost-interop-common/socket/address";
import { notReady, refuseWhatWaitingCannotCure } from "samehost-interop-common/socket/diagnosis";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";

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
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  // The channels of a process share their connections otherwise, and here each is to have its own.
  "grpc.use_local_subchannel_pool": 1,
};

/** The constructor of a generated client. */
type ClientConstructor<Stub> = new (
  address: string,
  channelCredentials: ReturnType<typeof credentials.createInsecure>,
  options: { channelOverride: Channel },
) => Stub;

/** A channel; nothing is dialled before the first call, or `waitUntilReady`. */
export function dial(path: string, options: ChannelOptions = {}): Channel {
  const all = { ...CHANNEL_OPTIONS, ...options };
  return new Client(formatAddress(path), credentials.createInsecure(), all).getChannel();
}

/** A generated client that uses this channel. */
export function clientOn<Stub>(channel: Channel, constructor: ClientConstructor<Stub>): Stub {
  return new constructor(channel.getTarget(), credentials.createInsecure(), { channelOverride: channel });
}

/** Waits for a server that is not there yet, but not where waiting can't help. */
export async function waitUntilReady(channel: Channel, path: string, seconds: number): Promise<void> {
  await refuseWhatWaitingCannotCure(path);
  const error = await new Promise<Error | undefined>((resolve) => {
    clientOn(channel, Client).waitForReady(Date.now() + seconds * 1000, resolve);
  });
  if (error !== undefined) {
    throw await notReady(path, seconds);
  }
}
