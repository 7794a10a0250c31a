/** Channels as the peer has them: with the limits of its messages, and waiting for a server. */

import { type ChannelInterface as Channel, type ChannelOptions, Client } from "@grpc/grpc-js";
import { createClient, dial as dialSocket } from "samehost/grpc-js";
import { notReady, refuseWhatWaitingCannotCure } from "samehost-interop-common/explain";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";

/** Of a server, and of a channel. */
export const MESSAGE_LIMITS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};

export function dial(path: string, options: ChannelOptions = {}): Channel {
  return dialSocket(path, { ...MESSAGE_LIMITS, ...options });
}

/** Waits for a server that is not there yet, but not where waiting can't help. */
export async function waitUntilReady(channel: Channel, path: string, seconds: number): Promise<void> {
  await refuseWhatWaitingCannotCure(path);
  const error = await new Promise<Error | undefined>((resolve) => {
    createClient(Client, channel).waitForReady(Date.now() + seconds * 1000, resolve);
  });
  if (error !== undefined) {
    throw await notReady(path, seconds);
  }
}
