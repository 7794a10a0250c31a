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
 * Which messages came compressed: what grpc-java tells no handler, and the interop cases ask.
 *
 * <p>A message is handed to its marshaller as a stream, and that of a message that came plain knows
 * its length, while nobody knows how long one will be that has yet to be decompressed
 * (io.grpc.internal.MessageDeframer).
 */
final class Compression {
  static final String GZIP = "gzip";

  private static final Context.Key<AtomicBoolean> LAST_MESSAGE = Context.key("last-message");

  private Compression() {}

  /** A message, and whether it came compressed. */
  record Received<T>(T message, boolean compressed) {}

  /** The method, for a client that wants to know how the responses came. */
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

  /** The service, with {@link #lastRequestCameCompressed} for its handlers. */
  static ServerServiceDefinition observed(ServerServiceDefinition service) {
    return ServerInterceptors.intercept(
        ServerInterceptors.useInputStreamMessages(service), new Observer());
  }

  /** Whether the request that is being handled came compressed. */
  static boolean lastRequestCameCompressed() {
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
