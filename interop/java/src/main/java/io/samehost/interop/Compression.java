package io.samehost.interop;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.KnownLength;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import java.io.InputStream;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Finds out which messages were compressed. The interop cases check it, but grpc-java does not tell
 * a handler.
 *
 * <p>A marshaller gets each message as a stream. Only the stream of an uncompressed message knows
 * its length, because a compressed one is decompressed later (io.grpc.internal.MessageDeframer).
 */
final class Compression {
  static final String GZIP = "gzip";

  private static final Context.Key<AtomicBoolean> LAST_MESSAGE = Context.key("last-message");

  private Compression() {}

  /** A message, and whether it was compressed. */
  record Received<T>(T message, boolean compressed) {}

  /** Returns the method for a client that needs to know whether responses were compressed. */
  static <Q, R> MethodDescriptor<Q, Received<R>> received(MethodDescriptor<Q, R> method) {
    Marshaller<R> responses = method.getResponseMarshaller();
    return method.toBuilder(
            method.getRequestMarshaller(),
            new Marshaller<Received<R>>() {
              @Override
              public Received<R> parse(InputStream message) {
                return new Received<>(responses.parse(message), isCompressed(message));
              }

              @Override
              public InputStream stream(Received<R> received) {
                return responses.stream(received.message());
              }
            })
        .build();
  }

  /** Returns the service with {@link #lastRequestWasCompressed} for its handlers. */
  static ServerServiceDefinition observed(ServerServiceDefinition service) {
    return ServerInterceptors.intercept(
        ServerInterceptors.useInputStreamMessages(service), new Observer());
  }

  /** Returns whether the request that this thread handles was compressed. */
  static boolean lastRequestWasCompressed() {
    return LAST_MESSAGE.get().get();
  }

  private static boolean isCompressed(Object message) {
    return !(message instanceof KnownLength);
  }

  private static final class Observer implements ServerInterceptor {
    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      AtomicBoolean last = new AtomicBoolean();
      Context context = Context.current().withValue(LAST_MESSAGE, last);
      return new SimpleForwardingServerCallListener<>(
          Contexts.interceptCall(context, call, headers, next)) {
        @Override
        public void onMessage(Q message) {
          last.set(isCompressed(message));
          super.onMessage(message);
        }
      };
    }
  }
}
