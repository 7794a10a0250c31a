/** The channels of this peer: with message limits, and with a wait for the server. */

import { type ChannelInterface as Channel, type ChannelOptions, Client } from "@grpc/grpc-js";
import { createClient, dial as dialSocket } from "samehost/grpc-js";
import { checkWaitingHelps, notReady } from "samehost-interop-common/explain";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";

/** The options of a server and of a channel. */
export const MESSAGE_LIMITS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};

export function dial(path: string, options: ChannelOptions = {}): Channel {
  return dialSocket(path, { ...MESSAGE_LIMITS, ...options });
}

/** Waits for a server that has not started yet. Throws at once if waiting cannot help. */
export async function waitUntilReady(channel: Channel, path: string, seconds: number): Promise<void> {
  await checkWaitingHelps(path);
  const error = await new Promise<Error | undefined>((resolve) => {
    createClient(Client, channel).waitForReady(Date.now() + seconds * 1000, resolve);
  });
  if (error !== undefined) {
    throw await notReady(path, seconds);
  }
}
