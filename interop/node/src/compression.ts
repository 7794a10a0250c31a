/** Sends selected messages of a compressed call uncompressed. */

import { InterceptingCall, type Interceptor } from "@grpc/grpc-js";

/**
 * GRPC_WRITE_NO_COMPRESS of the gRPC core. grpc-js supports it but does not export it. Its types accept the flag as the
 * second argument of `write`, but Node.js reads that as an encoding and throws ERR_UNKNOWN_ENCODING.
 */
const NO_COMPRESS = 2;

type MessageContext = Parameters<InterceptingCall["sendMessageWithContext"]>[0];

/** Returns an interceptor for calls on a channel with `grpc.default_compression_algorithm`. */
export function uncompressed(isPlain: (request: unknown) => boolean): Interceptor {
  return (options, nextCall) => new SelectiveCall(nextCall(options), isPlain);
}

class SelectiveCall extends InterceptingCall {
  constructor(
    nextCall: ConstructorParameters<typeof InterceptingCall>[0],
    private readonly isPlain: (request: unknown) => boolean,
  ) {
    super(nextCall);
  }

  override sendMessageWithContext(context: MessageContext, request: unknown): void {
    const flags = this.isPlain(request) ? NO_COMPRESS : 0;
    super.sendMessageWithContext({ ...context, flags }, request);
  }
}
