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
 * Serves grpc.health.v1.Health (grpc/grpc doc/health-checking.md). Its watches end when the server
 * stops.
 *
 * <p>With {@code HealthStatusManager} of grpc-services, each watch would last until the end of the
 * grace period, because {@code enterTerminalState} reports NOT_SERVING and leaves the streams open.
 */
final class HealthService extends HealthGrpc.HealthImplBase {
  private final Set<String> services = new HashSet<>();
  private final Map<ServerCallStreamObserver<HealthCheckResponse>, String> watches =
      new HashMap<>();
  private boolean ended;

  /** Reports SERVING for a server's services, and for the empty name, which means the server. */
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
              .withDescription("unknown service '%s'".formatted(request.getService()))
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

  /** Reports NOT_SERVING for all services from now on, and ends all watches. */
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
