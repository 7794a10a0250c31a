package io.samehost.interop;

import com.google.protobuf.Duration;
import grpc.testing.Testing.TestOrcaReport;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.StreamObserver;
import io.samehost.stream.Pause;
import io.samehost.stream.Responses;
import java.util.stream.Stream;
import xds.data.orca.v3.OrcaLoadReportOuterClass.OrcaLoadReport;
import xds.service.orca.v3.OpenRcaServiceGrpc;
import xds.service.orca.v3.OrcaService.OrcaLoadReportRequest;

/**
 * Serves backend metrics (ORCA, gRFC A51): a load report with one call, or a stream of reports out
 * of band. grpc-xds has both too, but adds the protos of Envoy and Google.
 */
final class LoadReports extends OpenRcaServiceGrpc.OpenRcaServiceImplBase {

  /** The trailer with the report of one call. */
  static final Metadata.Key<OrcaLoadReport> TRAILER =
      Metadata.Key.of(
          "endpoint-load-metrics-bin",
          ProtoUtils.metadataMarshaller(OrcaLoadReport.getDefaultInstance()));

  /** gRFC A51 has 30 s for production and allows less in tests. */
  private static final java.time.Duration MIN_INTERVAL = java.time.Duration.ofMillis(100);

  private OrcaLoadReport current = OrcaLoadReport.getDefaultInstance();
  private Context owner;

  /** Converts a report that a test requested to the report on the wire. */
  static OrcaLoadReport of(TestOrcaReport report) {
    return OrcaLoadReport.newBuilder()
        .setCpuUtilization(report.getCpuUtilization())
        .setMemUtilization(report.getMemoryUtilization())
        .putAllRequestCost(report.getRequestCostMap())
        .putAllUtilization(report.getUtilizationMap())
        .build();
  }

  /** Sends the report at once, then once in each interval. */
  @Override
  public void streamCoreMetrics(
      OrcaLoadReportRequest request, StreamObserver<OrcaLoadReport> observer) {
    java.time.Duration interval = interval(request.getReportInterval());
    new Responses<>(observer)
        .sendAll(
            Stream.iterate(
                    current(),
                    last -> {
                      Pause.of(interval);
                      return current();
                    })
                .iterator());
  }

  /**
   * Sets the out-of-band report and keeps it until the current call ends. The server has one report
   * and each client expects its own, so other calls wait.
   */
  synchronized void set(OrcaLoadReport report) throws InterruptedException {
    Context call = Context.current();
    if (owner != call) {
      call.addListener(this::release, Runnable::run);
      while (owner != null) {
        if (call.isCancelled()) {
          return;
        }
        wait();
      }
      owner = call;
    }
    current = report;
  }

  private synchronized void release(Context call) {
    if (owner == call) {
      owner = null;
    }
    notifyAll();
  }

  private synchronized OrcaLoadReport current() {
    return current;
  }

  private static java.time.Duration interval(Duration wanted) {
    java.time.Duration interval =
        java.time.Duration.ofSeconds(wanted.getSeconds(), wanted.getNanos());
    return interval.compareTo(MIN_INTERVAL) < 0 ? MIN_INTERVAL : interval;
  }
}
