package io.samehost.interop;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import grpc.testing.Testing.BoolValue;
import grpc.testing.Testing.EchoStatus;
import grpc.testing.Testing.Payload;
import grpc.testing.Testing.ResponseParameters;
import grpc.testing.Testing.SimpleRequest;
import grpc.testing.Testing.StreamingInputCallRequest;
import grpc.testing.Testing.StreamingOutputCallRequest;
import grpc.testing.Testing.TestOrcaReport;
import io.grpc.Metadata;
import java.util.List;
import java.util.stream.IntStream;
import xds.service.orca.v3.OrcaService.OrcaLoadReportRequest;

/** The requests of the official cases (grpc/grpc doc/interop-test-descriptions.md). */
final class Requests {
  static final int LARGE_REQUEST_BYTES = 271828;
  static final int LARGE_RESPONSE_BYTES = 314159;
  static final List<Integer> REQUEST_BYTES = List.of(27182, 8, 1828, 45904);
  static final List<Integer> RESPONSE_BYTES = List.of(31415, 9, 2653, 58979);

  /** In client_compressed_streaming, the first is compressed and the second is not. */
  static final List<Integer> COMPRESSED_REQUEST_BYTES = List.of(27182, 45904);

  /** In server_compressed_streaming, the first is compressed and the second is not. */
  static final List<Integer> COMPRESSED_RESPONSE_BYTES = List.of(31415, 92653);

  static final String ECHO_INITIAL = "test_initial_metadata_value";
  static final byte[] ECHO_TRAILING = {(byte) 0xab, (byte) 0xab, (byte) 0xab};

  static final EchoStatus STATUS = status("test status message");
  static final EchoStatus SPECIAL_STATUS =
      status("\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");

  static final TestOrcaReport PER_CALL_REPORT =
      TestOrcaReport.newBuilder()
          .setCpuUtilization(0.8210)
          .setMemoryUtilization(0.5847)
          .putRequestCost("cost", 3456.32)
          .putUtilization("util", 0.30499)
          .build();

  static final List<TestOrcaReport> OUT_OF_BAND_REPORTS =
      List.of(
          TestOrcaReport.newBuilder()
              .setCpuUtilization(0.8210)
              .setMemoryUtilization(0.5847)
              .putUtilization("util", 0.30499)
              .build(),
          TestOrcaReport.newBuilder()
              .setCpuUtilization(0.29309)
              .setMemoryUtilization(0.2)
              .putUtilization("util", 0.2039)
              .build());

  static final OrcaLoadReportRequest LISTEN =
      OrcaLoadReportRequest.newBuilder()
          .setReportInterval(Duration.newBuilder().setNanos(100_000_000))
          .build();

  private Requests() {}

  static SimpleRequest large() {
    return largeBuilder().build();
  }

  /** A large request that declares whether it is compressed. */
  static SimpleRequest largeExpecting(boolean compressed) {
    return largeBuilder().setExpectCompressed(bool(compressed)).build();
  }

  /** A large request that chooses whether the response is compressed. */
  static SimpleRequest largeAnswered(boolean compressed) {
    return largeBuilder().setResponseCompressed(bool(compressed)).build();
  }

  static SimpleRequest ending(EchoStatus status) {
    return SimpleRequest.newBuilder().setResponseStatus(status).build();
  }

  /** A unique request. Its payload is the time. */
  static SimpleRequest cacheable() {
    return SimpleRequest.newBuilder()
        .setPayload(
            Payload.newBuilder().setBody(ByteString.copyFromUtf8(Long.toString(System.nanoTime()))))
        .build();
  }

  /** The metadata of cacheable_unary, because some proxies cache nothing for their own host. */
  static Metadata userIp() {
    Metadata metadata = new Metadata();
    metadata.put(Metadata.Key.of("x-user-ip", Metadata.ASCII_STRING_MARSHALLER), "1.2.3.4");
    return metadata;
  }

  static Metadata echoes() {
    Metadata metadata = new Metadata();
    metadata.put(CallMetadata.ECHO_INITIAL, ECHO_INITIAL);
    metadata.put(CallMetadata.ECHO_TRAILING, ECHO_TRAILING);
    return metadata;
  }

  static StreamingInputCallRequest input(int size) {
    return StreamingInputCallRequest.newBuilder().setPayload(zeros(size)).build();
  }

  /** A request that declares whether it is compressed. */
  static StreamingInputCallRequest inputExpecting(int size, boolean compressed) {
    return input(size).toBuilder().setExpectCompressed(bool(compressed)).build();
  }

  /** A request for responses of these sizes. */
  static StreamingOutputCallRequest output(List<Integer> sizes) {
    return StreamingOutputCallRequest.newBuilder()
        .addAllResponseParameters(sizes.stream().map(Requests::parameters).toList())
        .build();
  }

  /** A request of one size for a response of another size. */
  static StreamingOutputCallRequest output(int requestSize, int responseSize) {
    return output(List.of(responseSize)).toBuilder().setPayload(zeros(requestSize)).build();
  }

  static StreamingOutputCallRequest compressedOutput() {
    return StreamingOutputCallRequest.newBuilder()
        .addResponseParameters(
            parameters(COMPRESSED_RESPONSE_BYTES.get(0)).toBuilder().setCompressed(bool(true)))
        .addResponseParameters(
            parameters(COMPRESSED_RESPONSE_BYTES.get(1)).toBuilder().setCompressed(bool(false)))
        .build();
  }

  /** The requests of ping_pong. Each is sent after the previous one is answered. */
  static List<StreamingOutputCallRequest> pingPong() {
    return IntStream.range(0, REQUEST_BYTES.size())
        .mapToObj(i -> output(REQUEST_BYTES.get(i), RESPONSE_BYTES.get(i)))
        .toList();
  }

  /** A request that is never answered, because it requests no response. */
  static StreamingOutputCallRequest sleeper() {
    return StreamingOutputCallRequest.newBuilder().setPayload(zeros(REQUEST_BYTES.get(0))).build();
  }

  /** A request that sets the out-of-band report, with one response when it is set. */
  static StreamingOutputCallRequest reporting(TestOrcaReport report) {
    return output(List.of(1)).toBuilder().setOrcaOobReport(report).build();
  }

  private static SimpleRequest.Builder largeBuilder() {
    return SimpleRequest.newBuilder()
        .setResponseSize(LARGE_RESPONSE_BYTES)
        .setPayload(zeros(LARGE_REQUEST_BYTES));
  }

  private static ResponseParameters parameters(int size) {
    return ResponseParameters.newBuilder().setSize(size).build();
  }

  private static Payload zeros(int size) {
    return Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size])).build();
  }

  private static BoolValue bool(boolean value) {
    return BoolValue.newBuilder().setValue(value).build();
  }

  private static EchoStatus status(String message) {
    return EchoStatus.newBuilder().setCode(2).setMessage(message).build();
  }
}
