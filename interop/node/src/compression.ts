/** Leaves single messages of a compressed call uncompressed. */

import { InterceptingCall, type Interceptor } from "@grpc/grpc-js";

/**
 * GRPC_WRITE_NO_COMPRESS of gRPC's core. grpc-js heeds it and does not export it; the way that its types offer, as the second
 * argument of `write`, has Node.js throw ERR_UNKNOWN_ENCODING, because it looks like an encoding.
 */
const NO_COMPRESS = 2;

type MessageContext = Parameters<InterceptingCall["sendMessageWithContext"]>[0];

/** An interceptor for calls on a channel with `grpc.default_compression_algorithm`. */
export function uncompressed(isToBePlain: (request: unknown) => boolean): Interceptor {
  return (options, nextCall) => new SelectiveCall(nextCall(options), isToBePlain);
}

class SelectiveCall extends InterceptingCall {
  constructor(
    nextCall: ConstructorParameters<typeof InterceptingCall>[0],
    private readonly isToBePlain: (request: unknown) => boolean,
  ) {
    super(nextCall);
  }

  override sendMessageWithContext(context: MessageContext, request: unknown): void {
    const flags = this.isToBePlain(request) ? NO_COMPRESS : 0;
    super.sendMessageWithContext({ ...context, flags }, request);
  }
}
