package io.samehost.interop;

import static io.grpc.Metadata.ASCII_STRING_MARSHALLER;

import com.google.common.collect.Iterators;
import com.google.protobuf.ByteString;
import grpc.testing.TestServiceGrpc;
import grpc.testing.Testing.BoolValue;
import grpc.testing.Testing.EchoStatus;
import grpc.testing.Testing.Empty;
import grpc.testing.Testing.Payload;
import grpc.testing.Testing.PayloadType;
import grpc.testing.Testing.ResponseParameters;
import grpc.testing.Testing.SimpleRequest;
import grpc.testing.Testing.SimpleResponse;
import grpc.testing.Testing.StreamingInputCallRequest;
import grpc.testing.Testing.StreamingInputCallResponse;
import grpc.testing.Testing.StreamingOutputCallRequest;
import grpc.testing.Testing.StreamingOutputCallResponse;
import io.grpc.Metadata;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.samehost.stream.Pause;
import io.samehost.stream.Responses;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.UUID;
import xds.data.orca.v3.OrcaLoadReportOuterClass.OrcaLoadReport;

/**
 * Serves grpc.testing.TestService as described in grpc/grpc doc/interop-test-descriptions.md. A
 * server must not implement UnimplementedCall.
 */
public final class InteropService extends TestServiceGrpc.TestServiceImplBase {

  /** The default of gRPC for the longest message that a client or server receives. */
  private static final int MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

  /** Lets a proxy cache a response, for the time in the official description. */
  private static final Metadata.Key<String> CACHE_CONTROL =
      Metadata.Key.of("cache-control", ASCII_STRING_MARSHALLER);

  private static final String CACHEABLE = "max-age=60, public";

  /** The address of a client, whose socket has no name. */
  private static final String PEER = "unix:";

  private final LoadReports reports;
  private final String hostName = Host.name();
  private final String serverId =
      "%s-%d-%s".formatted(hostName, ProcessHandle.current().pid(), UUID.randomUUID());

  private InteropService(LoadReports reports) {
    this.reports = reports;
  }

  /** Returns TestService, and OpenRcaService, which sends the load reports of TestService. */
  public static List<ServerServiceDefinition> services() {
    LoadReports reports = new LoadReports();
    return List.of(
        Compression.observed(
            ServerInterceptors.intercept(
                new InteropService(reports), new CallMetadata.Interceptor())),
        reports.bindService());
  }

  @Override
  public void emptyCall(Empty request, StreamObserver<Empty> observer) {
    observer.onNext(Empty.getDefaultInstance());
    observer.onCompleted();
  }

  @Override
  public void unaryCall(SimpleRequest request, StreamObserver<SimpleResponse> observer) {
    if (request.hasOrcaPerQueryReport()) {
      CallMetadata.current()
          .trailers()
          .put(LoadReports.TRAILER, LoadReports.of(request.getOrcaPerQueryReport()));
    }
    try {
      if (request.hasExpectCompressed()) {
        checkCompression(request.getExpectCompressed());
      }
      checkStatus(request.getResponseStatus());
      checkType(request.getResponseTypeValue());
      checkSize(request.getResponseSize());
    } catch (StatusRuntimeException refusal) {
      observer.onError(refusal);
      return;
    }
    if (request.getResponseCompressed().getValue()) {
      ((ServerCallStreamObserver<SimpleResponse>) observer).setCompression(Compression.GZIP);
    }
    observer.onNext(
        SimpleResponse.newBuilder()
            .setPayload(zeros(request.getResponseSize()))
            .setServerId(request.getFillServerId() ? serverId : "")
            .setHostname(hostName)
            .build());
    observer.onCompleted();
  }

  @Override
  public void cacheableUnaryCall(SimpleRequest request, StreamObserver<SimpleResponse> observer) {
    CallMetadata.current().headers().put(CACHE_CONTROL, CACHEABLE);
    observer.onNext(SimpleResponse.newBuilder().setPayload(request.getPayload()).build());
    observer.onCompleted();
  }

  @Override
  public void streamingOutputCall(
      StreamingOutputCallRequest request, StreamObserver<StreamingOutputCallResponse> observer) {
    try {
      sending(observer).sendAll(responses(request, observer));
    } catch (StatusRuntimeException refusal) {
      observer.onError(refusal);
    }
  }

  @Override
  public StreamObserver<StreamingInputCallRequest> streamingInputCall(
      StreamObserver<StreamingInputCallResponse> observer) {
    return new Sum(observer);
  }

  @Override
  public StreamObserver<StreamingOutputCallRequest> fullDuplexCall(
      StreamObserver<StreamingOutputCallResponse> observer) {
    return sending(observer)
        .answerEach(
            (StreamingOutputCallRequest request) -> {
              if (request.hasOrcaOobReport()) {
                setReport(LoadReports.of(request.getOrcaOobReport()));
              }
              return responses(request, observer);
            });
  }

  @Override
  public StreamObserver<StreamingOutputCallRequest> halfDuplexCall(
      StreamObserver<StreamingOutputCallResponse> observer) {
    return new Postponed(observer, sending(observer));
  }

  private void setReport(OrcaLoadReport report) {
    try {
      reports.set(report);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Declares compression before the first message. Each message decides whether to use it. */
  private static Responses<StreamingOutputCallResponse> sending(
      StreamObserver<StreamingOutputCallResponse> observer) {
    ((ServerCallStreamObserver<?>) observer).setCompression(Compression.GZIP);
    return new Responses<>(observer);
  }

  private static Iterator<StreamingOutputCallResponse> responses(
      StreamingOutputCallRequest request, StreamObserver<StreamingOutputCallResponse> observer) {
    checkStatus(request.getResponseStatus());
    checkType(request.getResponseTypeValue());
    request.getResponseParametersList().forEach(parameters -> checkSize(parameters.getSize()));
    var call = (ServerCallStreamObserver<StreamingOutputCallResponse>) observer;
    return request.getResponseParametersList().stream()
        .map(
            parameters -> {
              Pause.of(Duration.of(parameters.getIntervalUs(), ChronoUnit.MICROS));
              call.setMessageCompression(parameters.getCompressed().getValue());
              return response(parameters);
            })
        .iterator();
  }

  private static StreamingOutputCallResponse response(ResponseParameters parameters) {
    return StreamingOutputCallResponse.newBuilder()
        .setPayload(zeros(parameters.getSize()))
        .setPeerSocketAddress(parameters.getFillPeerSocketAddress().getValue() ? PEER : "")
        .build();
  }

  private static Payload zeros(int size) {
    return Payload.newBuilder().setBody(ByteString.copyFrom(new byte[size])).build();
  }

  private static void checkCompression(BoolValue expected) {
    boolean compressed = Compression.lastRequestWasCompressed();
    if (expected.getValue() != compressed) {
      throw refusal(
          "expect_compressed is %s, but the message was %s"
              .formatted(expected.getValue(), compressed ? "compressed" : "uncompressed"));
    }
  }

  private static void checkStatus(EchoStatus wanted) {
    if (wanted.getCode() != 0) {
      throw Status.fromCodeValue(wanted.getCode())
          .withDescription(wanted.getMessage())
          .asRuntimeException();
    }
  }

  private static void checkType(int type) {
    if (type != PayloadType.COMPRESSABLE_VALUE) {
      throw refusal("response_type is %d; use 0, the only type".formatted(type));
    }
  }

  private static void checkSize(int size) {
    if (size < 0 || size > MAX_MESSAGE_BYTES) {
      throw refusal("a size is %d bytes; use 0 to %d".formatted(size, MAX_MESSAGE_BYTES));
    }
  }

  private static StatusRuntimeException refusal(String fault) {
    return Status.INVALID_ARGUMENT.withDescription(fault).asRuntimeException();
  }

  /** Adds up the payload sizes of one call. */
  private static final class Sum implements StreamObserver<StreamingInputCallRequest> {
    private final StreamObserver<StreamingInputCallResponse> observer;
    private int size;
    private boolean refused;

    Sum(StreamObserver<StreamingInputCallResponse> observer) {
      this.observer = observer;
    }

    @Override
    public void onNext(StreamingInputCallRequest request) {
      if (refused) {
        return; // The client may have sent more before it received the error.
      }
      size += request.getPayload().getBody().size();
      try {
        if (request.hasExpectCompressed()) {
          checkCompression(request.getExpectCompressed());
        }
      } catch (StatusRuntimeException refusal) {
        refused = true;
        observer.onError(refusal);
      }
    }

    @Override
    public void onCompleted() {
      if (!refused) {
        observer.onNext(
            StreamingInputCallResponse.newBuilder().setAggregatedPayloadSize(size).build());
        observer.onCompleted();
      }
    }

    @Override
    public void onError(Throwable cancelled) {}
  }

  /** Keeps the requests of one call until all of them have arrived. */
  private static final class Postponed implements StreamObserver<StreamingOutputCallRequest> {
    private final StreamObserver<StreamingOutputCallResponse> observer;
    private final Responses<StreamingOutputCallResponse> sending;
    private final List<StreamingOutputCallRequest> requests = new ArrayList<>();

    Postponed(
        StreamObserver<StreamingOutputCallResponse> observer,
        Responses<StreamingOutputCallResponse> sending) {
      this.observer = observer;
      this.sending = sending;
    }

    @Override
    public void onNext(StreamingOutputCallRequest request) {
      requests.add(request);
    }

    @Override
    public void onCompleted() {
      try {
        List<Iterator<StreamingOutputCallResponse>> answers = new ArrayList<>();
        for (StreamingOutputCallRequest request : requests) {
          answers.add(responses(request, observer));
        }
        sending.sendAll(Iterators.concat(answers.iterator()));
      } catch (StatusRuntimeException refusal) {
        observer.onError(refusal);
      }
    }

    @Override
    public void onError(Throwable cancelled) {}
  }
}
