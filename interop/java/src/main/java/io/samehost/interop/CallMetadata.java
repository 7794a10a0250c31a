package io.samehost.interop;

import static io.grpc.Metadata.ASCII_STRING_MARSHALLER;
import static io.grpc.Metadata.BINARY_BYTE_MARSHALLER;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;

/** The metadata that a server returns: echoes of the request's, and additions of handlers. */
record CallMetadata(Metadata headers, Metadata trailers) {
  static final Metadata.Key<String> ECHO_INITIAL =
      Metadata.Key.of("x-grpc-test-echo-initial", ASCII_STRING_MARSHALLER);
  static final Metadata.Key<byte[]> ECHO_TRAILING =
      Metadata.Key.of("x-grpc-test-echo-trailing-bin", BINARY_BYTE_MARSHALLER);

  private static final Context.Key<CallMetadata> CURRENT = Context.key("call-metadata");

  /** Returns the metadata of the call that this thread handles. */
  static CallMetadata current() {
    return CURRENT.get();
  }

  private static CallMetadata echoing(Metadata received) {
    CallMetadata metadata = new CallMetadata(new Metadata(), new Metadata());
    copy(ECHO_INITIAL, received, metadata.headers);
    copy(ECHO_TRAILING, received, metadata.trailers);
    return metadata;
  }

  private static <T> void copy(Metadata.Key<T> key, Metadata from, Metadata to) {
    Iterable<T> values = from.getAll(key);
    if (values != null) {
      values.forEach(value -> to.put(key, value));
    }
  }

  /** Adds it to the context of each call, and merges it into headers and trailers. */
  static final class Interceptor implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata received, ServerCallHandler<Q, R> next) {
      CallMetadata metadata = echoing(received);
      ServerCall<Q, R> merging =
          new SimpleForwardingServerCall<>(call) {
            @Override
            public void sendHeaders(Metadata headers) {
              headers.merge(metadata.headers);
              super.sendHeaders(headers);
            }

            @Override
            public void close(Status status, Metadata trailers) {
              trailers.merge(metadata.trailers);
              super.close(status, trailers);
            }
          };
      Context context = Context.current().withValue(CURRENT, metadata);
      return Contexts.interceptCall(context, merging, received, next);
    }
  }
}
