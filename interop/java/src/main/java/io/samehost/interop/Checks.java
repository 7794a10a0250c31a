package io.samehost.interop;

import com.google.protobuf.ByteString;
import com.google.protobuf.MessageLite;
import com.google.protobuf.TextFormat;
import grpc.testing.Testing.EchoStatus;
import grpc.testing.Testing.Payload;
import grpc.testing.Testing.PayloadType;
import grpc.testing.Testing.SimpleResponse;
import grpc.testing.Testing.StreamingInputCallResponse;
import grpc.testing.Testing.StreamingOutputCallResponse;
import grpc.testing.Testing.TestOrcaReport;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.samehost.interop.Compression.Received;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import xds.data.orca.v3.OrcaLoadReportOuterClass.OrcaLoadReport;

/** The assertions of the official cases. Each failure has the expected and the actual value. */
final class Checks {
  private Checks() {}

  /** A call whose status is checked. */
  interface Call {
    void run() throws Exception;
  }

  static void equal(String what, Object got, Object expected) throws CaseFailure {
    if (!expected.equals(got)) {
      throw new CaseFailure(what, expected, got);
    }
  }

  static void empty(MessageLite response) throws CaseFailure {
    equal("size of the response in bytes", response.getSerializedSize(), 0);
  }

  static void large(SimpleResponse response) throws CaseFailure {
    payload("the response", response.getPayload(), Requests.LARGE_RESPONSE_BYTES);
  }

  static void large(Received<SimpleResponse> received, boolean compressed) throws CaseFailure {
    equal("compressed flag of the response", received.compressed(), compressed);
    large(received.message());
  }

  static void aggregated(StreamingInputCallResponse response, List<Integer> sizes)
      throws CaseFailure {
    int sum = sizes.stream().mapToInt(Integer::intValue).sum();
    equal("aggregated_payload_size", response.getAggregatedPayloadSize(), sum);
  }

  /** Checks that a stream had exactly the responses of these sizes, in order. */
  static void outputs(List<StreamingOutputCallResponse> responses, List<Integer> sizes)
      throws CaseFailure {
    List<Integer> got = responses.stream().map(each -> each.getPayload().getBody().size()).toList();
    equal("payload sizes of the responses", got, sizes);
    for (int i = 0; i < sizes.size(); i++) {
      payload("response " + (i + 1), responses.get(i).getPayload(), sizes.get(i));
    }
  }

  /** Checks the responses of server_compressed_streaming. */
  static void compressedOutputs(List<Received<StreamingOutputCallResponse>> received)
      throws CaseFailure {
    outputs(received.stream().map(Received::message).toList(), Requests.COMPRESSED_RESPONSE_BYTES);
    equal(
        "compressed flags of the responses",
        received.stream().map(Received::compressed).toList(),
        List.of(true, false));
  }

  /** Checks the size of the next response of a stream. Null is the end of the stream. */
  static void output(StreamingOutputCallResponse response, int size) throws CaseFailure {
    if (response == null) {
      throw new CaseFailure(
          "next response of the stream", "one of " + size + " bytes", "the end of the stream");
    }
    payload("the response", response.getPayload(), size);
  }

  static void end(StreamingOutputCallResponse response) throws CaseFailure {
    if (response != null) {
      throw new CaseFailure(
          "end of the stream",
          "no response",
          "one of " + response.getPayload().getBody().size() + " bytes");
    }
  }

  /** Checks that the server echoed both metadata, each once and in its place. */
  static void echoes(Metadata initial, Metadata trailing) throws CaseFailure {
    equal(
        CallMetadata.ECHO_INITIAL.name() + " in initial metadata",
        values(initial, CallMetadata.ECHO_INITIAL),
        List.of(Requests.ECHO_INITIAL));
    equal(
        CallMetadata.ECHO_TRAILING.name() + " in trailing metadata",
        values(trailing, CallMetadata.ECHO_TRAILING).stream()
            .map(HexFormat.of()::formatHex)
            .toList(),
        List.of(HexFormat.of().formatHex(Requests.ECHO_TRAILING)));
  }

  /** Checks that all calls reached one server, and that it has an id. */
  static void sameServer(Collection<String> ids) throws CaseFailure {
    Set<String> different = new TreeSet<>(ids);
    if (different.size() != 1 || different.contains("")) {
      throw new CaseFailure(
          "server_id of " + ids.size() + " responses", "one that is not empty", different);
    }
  }

  /** Checks that the trailers of a call contain the requested load report. */
  static void reported(Metadata trailing) throws CaseFailure {
    List<OrcaLoadReport> reports = values(trailing, LoadReports.TRAILER);
    equal("number of " + LoadReports.TRAILER.name() + " in the trailers", reports.size(), 1);
    report(reports.get(0), Requests.PER_CALL_REPORT);
  }

  static void report(OrcaLoadReport got, TestOrcaReport asked) throws CaseFailure {
    OrcaLoadReport expected = LoadReports.of(asked);
    if (!expected.equals(got)) {
      throw new CaseFailure("load report", text(expected), got == null ? "the end" : text(got));
    }
  }

  /** Checks that a call ends with this code. */
  static void status(Status.Code code, Call call) throws Exception {
    equal("status code", statusOf(call).getCode(), code);
  }

  /** Checks that a call ends with the status that it requested. */
  static void status(EchoStatus echoed, Call call) throws Exception {
    Status status = statusOf(call);
    equal("status code", status.getCode(), Status.Code.UNKNOWN);
    equal("status message", status.getDescription(), echoed.getMessage());
  }

  private static Status statusOf(Call call) throws Exception {
    try {
      call.run();
      return Status.OK;
    } catch (StatusException e) {
      return e.getStatus();
    }
  }

  private static void payload(String what, Payload got, int size) throws CaseFailure {
    equal("payload type of " + what, got.getType(), PayloadType.COMPRESSABLE);
    equal("payload size of " + what, got.getBody().size(), size);
    if (!got.getBody().equals(ByteString.copyFrom(new byte[size]))) {
      throw new CaseFailure("payload of " + what, size + " zeros", "other bytes among them");
    }
  }

  private static <T> List<T> values(Metadata metadata, Metadata.Key<T> key) {
    List<T> values = new ArrayList<>();
    Iterable<T> found = metadata == null ? null : metadata.getAll(key);
    if (found != null) {
      found.forEach(values::add);
    }
    return values;
  }

  private static String text(OrcaLoadReport report) {
    return "{" + TextFormat.printer().printToString(report) + "}";
  }
}
