package io.samehost;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.nio.channels.ClosedChannelException;

/**
 * Reports UNAVAILABLE for a call whose connection broke, as the other gRPC libraries do.
 *
 * <p>grpc-java reports UNKNOWN if Netty closed the connection before the call was written: "channel
 * closed", or "Channel closed but for unknown reason" (grpc/grpc-java 10120). A handler that throws
 * also ends its call with UNKNOWN. A client that retries when its server is gone should not have to
 * retry those calls.
 */
final class BrokenConnections implements ClientInterceptor {

  @Override
  public <ReqT, RespT> ClientCall<ReqT, RespT> interceptCall(
      MethodDescriptor<ReqT, RespT> method, CallOptions options, Channel next) {
    return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      public void start(Listener<RespT> listener, Metadata headers) {
        super.start(
            new SimpleForwardingClientCallListener<>(listener) {
              @Override
              public void onClose(Status status, Metadata trailers) {
                super.onClose(isBroken(status) ? unavailable(status) : status, trailers);
              }
            },
            headers);
      }
    };
  }

  /** Returns false for a status that the server sent, because it has no cause. */
  private static boolean isBroken(Status status) {
    return status.getCode() == Status.Code.UNKNOWN
        && status.getCause() instanceof ClosedChannelException;
  }

  private static Status unavailable(Status status) {
    return Status.UNAVAILABLE.withDescription(status.getDescription()).withCause(status.getCause());
  }
}
