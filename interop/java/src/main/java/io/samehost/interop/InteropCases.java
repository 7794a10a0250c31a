package io.samehost.interop;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.SettableFuture;
import grpc.testing.TestServiceGrpc;
import grpc.testing.TestServiceGrpc.TestServiceBlockingV2Stub;
import grpc.testing.Testing.Empty;
import grpc.testing.Testing.SimpleRequest;
import grpc.testing.Testing.SimpleResponse;
import grpc.testing.Testing.StreamingInputCallRequest;
import grpc.testing.Testing.StreamingInputCallResponse;
import grpc.testing.Testing.StreamingOutputCallRequest;
import grpc.testing.Testing.StreamingOutputCallResponse;
import grpc.testing.Testing.TestOrcaReport;
import grpc.testing.UnimplementedServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.samehost.SocketChannelBuilder;
import io.samehost.SocketPath;
import io.samehost.interop.Compression.Received;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import xds.data.orca.v3.OrcaLoadReportOuterClass.OrcaLoadReport;
import xds.service.orca.v3.OpenRcaServiceGrpc;

/**
 * The official cases, with a method for each. {@link Requests} has their messages, and {@link
 * Checks} has their assertions.
 */
final class InteropCases {

  /** Keeps a case from blocking. A call over a socket takes milliseconds. */
  private static final Duration DEADLINE = Duration.ofSeconds(30);

  /** The deadline of each concurrent call, because all of them wait for the last. */
  private static final Duration CONCURRENT_DEADLINE = Duration.ofSeconds(60);

  private static final int CONCURRENT_CALLS = 1000;

  /** The number of grpc-go and grpc-java, because the description has no number. */
  private static final int PICK_FIRST_CALLS = 100;

  private static final Duration SLEEPING_SERVER_DEADLINE = Duration.ofMillis(1);

  /** How long to wait for an out-of-band report. The slowest servers send one each second. */
  private static final Duration REPORT = Duration.ofSeconds(10);

  private final SocketPath socket;
  private final ManagedChannel channel;

  InteropCases(SocketPath socket, ManagedChannel channel) {
    this.socket = socket;
    this.channel = channel;
  }

  /** One case; it fails by throwing. */
  interface Case {
    void run(InteropCases cases) throws Exception;
  }

  /** The cases by their official names. */
  static final Map<String, Case> BY_NAME = new LinkedHashMap<>();

  static {
    BY_NAME.put("empty_unary", InteropCases::emptyUnary);
    BY_NAME.put("cacheable_unary", InteropCases::cacheableUnary);
    BY_NAME.put("large_unary", InteropCases::largeUnary);
    BY_NAME.put("client_compressed_unary", InteropCases::clientCompressedUnary);
    BY_NAME.put("server_compressed_unary", InteropCases::serverCompressedUnary);
    BY_NAME.put("client_streaming", InteropCases::clientStreaming);
    BY_NAME.put("client_compressed_streaming", InteropCases::clientCompressedStreaming);
    BY_NAME.put("server_streaming", InteropCases::serverStreaming);
    BY_NAME.put("server_compressed_streaming", InteropCases::serverCompressedStreaming);
    BY_NAME.put("ping_pong", InteropCases::pingPong);
    BY_NAME.put("half_duplex", InteropCases::halfDuplex);
    BY_NAME.put("empty_stream", InteropCases::emptyStream);
    BY_NAME.put("custom_metadata", InteropCases::customMetadata);
    BY_NAME.put("status_code_and_message", InteropCases::statusCodeAndMessage);
    BY_NAME.put("special_status_message", InteropCases::specialStatusMessage);
    BY_NAME.put("unimplemented_method", InteropCases::unimplementedMethod);
    BY_NAME.put("unimplemented_service", InteropCases::unimplementedService);
    BY_NAME.put("cancel_after_begin", InteropCases::cancelAfterBegin);
    BY_NAME.put("cancel_after_first_response", InteropCases::cancelAfterFirstResponse);
    BY_NAME.put("timeout_on_sleeping_server", InteropCases::timeoutOnSleepingServer);
    BY_NAME.put("pick_first_unary", InteropCases::pickFirstUnary);
    BY_NAME.put("concurrent_large_unary", InteropCases::concurrentLargeUnary);
    BY_NAME.put("rpc_soak", InteropCases::rpcSoak);
    BY_NAME.put("channel_soak", InteropCases::channelSoak);
    BY_NAME.put("orca_per_rpc", InteropCases::orcaPerRpc);
    BY_NAME.put("orca_oob", InteropCases::orcaOob);
  }

  private void emptyUnary() throws Exception {
    Checks.empty(stub().emptyCall(Empty.getDefaultInstance()));
  }

  private void largeUnary() throws Exception {
    Checks.large(stub().unaryCall(Requests.large()));
  }

  /** Uses POST, which no proxy caches, because grpc-java has no public way to request GET. */
  private void cacheableUnary() throws Exception {
    SimpleRequest request = Requests.cacheable();
    SimpleResponse first = cacheable(request);
    SimpleResponse second = cacheable(request);
    Checks.equal("payload of the second response", second.getPayload(), first.getPayload());
  }

  private SimpleResponse cacheable(SimpleRequest request) throws StatusException {
    return stub()
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(Requests.userIp()))
        .cacheableUnaryCall(request);
  }

  private void clientCompressedUnary() throws Exception {
    Checks.status(
        Status.Code.INVALID_ARGUMENT, () -> stub().unaryCall(Requests.largeExpecting(true)));
    Checks.large(stub().withCompression(Compression.GZIP).unaryCall(Requests.largeExpecting(true)));
    Checks.large(stub().unaryCall(Requests.largeExpecting(false)));
  }

  private void serverCompressedUnary() throws Exception {
    for (boolean compressed : new boolean[] {true, false}) {
      Checks.large(
          ClientCalls.blockingV2UnaryCall(
              channel,
              Compression.received(TestServiceGrpc.getUnaryCallMethod()),
              options(),
              Requests.largeAnswered(compressed)),
          compressed);
    }
  }

  private void clientStreaming() throws Exception {
    var call = stub().streamingInputCall();
    for (int size : Requests.REQUEST_BYTES) {
      call.write(Requests.input(size));
    }
    call.halfClose();
    Checks.aggregated(call.read(), Requests.REQUEST_BYTES);
  }

  private void clientCompressedStreaming() throws Exception {
    List<Integer> sizes = Requests.COMPRESSED_REQUEST_BYTES;
    Checks.status(
        Status.Code.INVALID_ARGUMENT,
        () -> {
          var probe = stub().streamingInputCall();
          probe.write(Requests.inputExpecting(sizes.get(0), true));
          probe.halfClose();
          probe.read();
        });
    Checks.aggregated(compressedInput(sizes), sizes);
  }

  /** Does not use a stub, because a blocking stub cannot compress single messages. */
  private StreamingInputCallResponse compressedInput(List<Integer> sizes) throws Exception {
    ClientCall<StreamingInputCallRequest, StreamingInputCallResponse> call =
        channel.newCall(
            TestServiceGrpc.getStreamingInputCallMethod(),
            options().withCompression(Compression.GZIP));
    FutureObserver<StreamingInputCallResponse> response = new FutureObserver<>();
    StreamObserver<StreamingInputCallRequest> requests =
        ClientCalls.asyncClientStreamingCall(call, response);
    requests.onNext(Requests.inputExpecting(sizes.get(0), true));
    call.setMessageCompression(false);
    requests.onNext(Requests.inputExpecting(sizes.get(1), false));
    requests.onCompleted();
    return result(response.future);
  }

  private void serverStreaming() throws Exception {
    var call = stub().streamingOutputCall(Requests.output(Requests.RESPONSE_BYTES));
    Checks.outputs(all(call), Requests.RESPONSE_BYTES);
  }

  private void serverCompressedStreaming() throws Exception {
    BlockingClientCall<?, Received<StreamingOutputCallResponse>> call =
        ClientCalls.blockingV2ServerStreamingCall(
            channel,
            Compression.received(TestServiceGrpc.getStreamingOutputCallMethod()),
            options(),
            Requests.compressedOutput());
    Checks.compressedOutputs(all(call));
  }

  private void pingPong() throws Exception {
    var call = stub().fullDuplexCall();
    for (StreamingOutputCallRequest request : Requests.pingPong()) {
      call.write(request);
      Checks.output(call.read(), request.getResponseParameters(0).getSize());
    }
    call.halfClose();
    Checks.end(call.read());
  }

  private void halfDuplex() throws Exception {
    var call = stub().halfDuplexCall();
    for (int size : Requests.RESPONSE_BYTES) {
      call.write(Requests.output(List.of(size)));
    }
    call.halfClose();
    Checks.outputs(all(call), Requests.RESPONSE_BYTES);
  }

  private void emptyStream() throws Exception {
    var call = stub().fullDuplexCall();
    call.halfClose();
    Checks.end(call.read());
  }

  private void customMetadata() throws Exception {
    AtomicReference<Metadata> initial = new AtomicReference<>();
    AtomicReference<Metadata> trailing = new AtomicReference<>();
    Checks.large(echoing(initial, trailing).unaryCall(Requests.large()));
    Checks.echoes(initial.get(), trailing.get());

    var call = echoing(initial, trailing).fullDuplexCall();
    call.write(Requests.output(Requests.LARGE_REQUEST_BYTES, Requests.LARGE_RESPONSE_BYTES));
    call.halfClose();
    Checks.output(call.read(), Requests.LARGE_RESPONSE_BYTES);
    Checks.end(call.read());
    Checks.echoes(initial.get(), trailing.get());
  }

  private TestServiceBlockingV2Stub echoing(
      AtomicReference<Metadata> initial, AtomicReference<Metadata> trailing) {
    initial.set(null);
    trailing.set(null);
    return stub()
        .withInterceptors(
            MetadataUtils.newAttachHeadersInterceptor(Requests.echoes()),
            MetadataUtils.newCaptureMetadataInterceptor(initial, trailing));
  }

  private void statusCodeAndMessage() throws Exception {
    Checks.status(Requests.STATUS, () -> stub().unaryCall(Requests.ending(Requests.STATUS)));
    Checks.status(
        Requests.STATUS,
        () -> {
          var call = stub().fullDuplexCall();
          call.write(
              StreamingOutputCallRequest.newBuilder().setResponseStatus(Requests.STATUS).build());
          call.halfClose();
          Checks.end(call.read());
        });
  }

  private void specialStatusMessage() throws Exception {
    Checks.status(
        Requests.SPECIAL_STATUS, () -> stub().unaryCall(Requests.ending(Requests.SPECIAL_STATUS)));
  }

  private void unimplementedMethod() throws Exception {
    Checks.status(
        Status.Code.UNIMPLEMENTED, () -> stub().unimplementedCall(Empty.getDefaultInstance()));
  }

  private void unimplementedService() throws Exception {
    Checks.status(
        Status.Code.UNIMPLEMENTED,
        () ->
            UnimplementedServiceGrpc.newBlockingV2Stub(channel)
                .withDeadlineAfter(DEADLINE.toSeconds(), TimeUnit.SECONDS)
                .unimplementedCall(Empty.getDefaultInstance()));
  }

  private void cancelAfterBegin() throws Exception {
    Checks.status(
        Status.Code.CANCELLED,
        () -> {
          var call = stub().streamingInputCall();
          call.cancel("cancel_after_begin cancels the call", null);
          call.read();
        });
  }

  private void cancelAfterFirstResponse() throws Exception {
    var call = stub().fullDuplexCall();
    call.write(Requests.pingPong().get(0));
    Checks.output(call.read(), Requests.RESPONSE_BYTES.get(0));
    call.cancel("cancel_after_first_response cancels the call", null);
    Checks.status(Status.Code.CANCELLED, () -> Checks.end(call.read()));
  }

  private void timeoutOnSleepingServer() throws Exception {
    Checks.status(
        Status.Code.DEADLINE_EXCEEDED,
        () -> {
          var call = stub(SLEEPING_SERVER_DEADLINE).fullDuplexCall();
          call.write(Requests.sleeper());
          Checks.end(call.read());
        });
  }

  private void pickFirstUnary() throws Exception {
    SimpleRequest request = SimpleRequest.newBuilder().setFillServerId(true).build();
    List<String> ids = new ArrayList<>();
    for (int i = 0; i < PICK_FIRST_CALLS; i++) {
      ids.add(stub().unaryCall(request).getServerId());
    }
    Checks.sameServer(ids);
  }

  private void concurrentLargeUnary() throws Exception {
    var stub =
        TestServiceGrpc.newFutureStub(channel)
            .withDeadlineAfter(CONCURRENT_DEADLINE.toSeconds(), TimeUnit.SECONDS);
    SimpleRequest request = Requests.large();
    List<ListenableFuture<SimpleResponse>> calls = new ArrayList<>();
    for (int i = 0; i < CONCURRENT_CALLS; i++) {
      calls.add(stub.unaryCall(request));
    }
    for (ListenableFuture<SimpleResponse> call : calls) {
      Checks.large(result(call));
    }
  }

  private void rpcSoak() throws Exception {
    Soak.run(this::largeUnary);
  }

  private void channelSoak() throws Exception {
    Soak.run(
        () -> {
          ManagedChannel own = SocketChannelBuilder.forPath(socket).build();
          try {
            new InteropCases(socket, own).largeUnary();
          } finally {
            own.shutdownNow();
          }
        });
  }

  private void orcaPerRpc() throws Exception {
    AtomicReference<Metadata> trailing = new AtomicReference<>();
    stub()
        .withInterceptors(
            MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailing))
        .unaryCall(
            SimpleRequest.newBuilder().setOrcaPerQueryReport(Requests.PER_CALL_REPORT).build());
    Checks.reported(trailing.get());
  }

  private void orcaOob() throws Exception {
    var setting = stub().fullDuplexCall();
    BlockingClientCall<?, OrcaLoadReport> listening =
        OpenRcaServiceGrpc.newBlockingV2Stub(channel)
            .withDeadlineAfter(DEADLINE.toSeconds(), TimeUnit.SECONDS)
            .streamCoreMetrics(Requests.LISTEN);
    for (TestOrcaReport report : Requests.OUT_OF_BAND_REPORTS) {
      setting.write(Requests.reporting(report));
      Checks.output(setting.read(), 1);
      await(report, listening);
    }
    listening.cancel("all reports arrived", null);
    setting.halfClose();
    Checks.end(setting.read());
  }

  /** Waits for a report, and skips older ones. */
  private static void await(TestOrcaReport report, BlockingClientCall<?, OrcaLoadReport> listening)
      throws Exception {
    long last = System.nanoTime() + REPORT.toNanos();
    OrcaLoadReport got;
    do {
      got = listening.read();
    } while (got != null && !got.equals(LoadReports.of(report)) && System.nanoTime() < last);
    Checks.report(got, report);
  }

  private TestServiceBlockingV2Stub stub() {
    return stub(DEADLINE);
  }

  private TestServiceBlockingV2Stub stub(Duration deadline) {
    return TestServiceGrpc.newBlockingV2Stub(channel)
        .withDeadlineAfter(deadline.toMillis(), TimeUnit.MILLISECONDS);
  }

  private static CallOptions options() {
    return CallOptions.DEFAULT.withDeadlineAfter(DEADLINE.toSeconds(), TimeUnit.SECONDS);
  }

  private static <T> List<T> all(BlockingClientCall<?, T> call) throws Exception {
    List<T> responses = new ArrayList<>();
    while (call.hasNext()) {
      responses.add(call.read());
    }
    return responses;
  }

  private static <T> T result(ListenableFuture<T> call)
      throws StatusException, InterruptedException, TimeoutException {
    try {
      return call.get(CONCURRENT_DEADLINE.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw Status.fromThrowable(e.getCause()).asException();
    }
  }

  /** The one response of a call. */
  private static final class FutureObserver<T> implements StreamObserver<T> {
    final SettableFuture<T> future = SettableFuture.create();

    @Override
    public void onNext(T response) {
      future.set(response);
    }

    @Override
    public void onError(Throwable error) {
      future.setException(error);
    }

    @Override
    public void onCompleted() {}
  }
}
