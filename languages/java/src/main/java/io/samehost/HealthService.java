package io.samehost;

import io.grpc.Server;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * grpc.health.v1.Health (grpc/grpc doc/health-checking.md), whose watches end when the server does.
 *
 * <p>With {@code HealthStatusManager} of grpc-services each watch would last until the grace is
 * over: its {@code enterTerminalState} says NOT_SERVING and leaves the streams open.
 */
final class HealthService extends HealthGrpc.HealthImplBase {
  private final Set<String> services = new HashSet<>();
  private final Map<ServerCallStreamObserver<HealthCheckResponse>, String> watches =
      new HashMap<>();
  private boolean ended;

  /** Says SERVING of a server's services; the empty name is the server as a whole. */
  synchronized void serve(Server server) {
    services.add("");
    server.getServices().forEach(each -> services.add(each.getServiceDescriptor().getName()));
  }

  @Override
  public synchronized void check(
      HealthCheckRequest request, StreamObserver<HealthCheckResponse> observer) {
    if (!services.contains(request.getService())) {
      observer.onError(
          Status.NOT_FOUND
              .withDescription("no service '%s' is served here".formatted(request.getService()))
              .asRuntimeException());
      return;
    }
    observer.onNext(status(request.getService()));
    observer.onCompleted();
  }

  @Override
  public synchronized void watch(
      HealthCheckRequest request, StreamObserver<HealthCheckResponse> observer) {
    var watch = (ServerCallStreamObserver<HealthCheckResponse>) observer;
    watch.setOnCancelHandler(() -> forget(watch));
    watch.onNext(status(request.getService()));
    if (ended) {
      watch.onCompleted();
    } else {
      watches.put(watch, request.getService());
    }
  }

  /** Says NOT_SERVING of everything for good, and ends all watches. */
  synchronized void end() {
    ended = true;
    watches.forEach(
        (watch, service) -> {
          if (services.contains(service)) {
            watch.onNext(status(service));
          }
          watch.onCompleted();
        });
    watches.clear();
  }

  private synchronized void forget(ServerCallStreamObserver<HealthCheckResponse> watch) {
    watches.remove(watch);
  }

  private HealthCheckResponse status(String service) {
    ServingStatus known = ended ? ServingStatus.NOT_SERVING : ServingStatus.SERVING;
    return HealthCheckResponse.newBuilder()
        .setStatus(services.contains(service) ? known : ServingStatus.SERVICE_UNKNOWN)
        .build();
  }
}
