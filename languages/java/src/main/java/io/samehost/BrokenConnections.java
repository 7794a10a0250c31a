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
 * Says UNAVAILABLE of a call whose connection broke, as gRPC's other libraries do.
 *
 * <p>grpc-java says UNKNOWN where Netty had closed before the call could be written: "channel
 * closed", or "Channel closed but for unknown reason" (grpc/grpc-java 10120). Whoever calls again
 * when a server is gone should not have to do so for every UNKNOWN, which handlers answer that
 * throw.
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

  /** A status that came from the server has no cause. */
  private static boolean isBroken(Status status) {
    return status.getCode() == Status.Code.UNKNOWN
        && status.getCause() instanceof ClosedChannelException;
  }

  private static Status unavailable(Status status) {
    return Status.UNAVAILABLE.withDescription(status.getDescription()).withCause(status.getCause());
  }
}
