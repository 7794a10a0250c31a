#include "interop_cases.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <latch>
#include <memory>
#include <mutex>

#include "interop_checks.h"
#include "interop_requests.h"
#include "orca.h"
#include "samehost/dial.h"
#include "samehost/interop/orca_service.grpc.pb.h"
#include "samehost/interop/testing.grpc.pb.h"
#include "was_compressed.h"

namespace samehost::interop {
namespace {

using grpc::testing::Empty;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using grpc::testing::TestService;
using grpc::testing::UnimplementedService;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using xds::data::orca::v3::OrcaLoadReport;

// The deadline of a call, so that no case hangs. A call takes milliseconds.
constexpr seconds kDeadline{30};

// The deadline of the 1000 calls of concurrent_large_unary.
constexpr seconds kConcurrentDeadline{60};

// The deadline of timeout_on_sleeping_server.
constexpr milliseconds kShortDeadline{1};

// The time that a report out of band may take to arrive. The slowest interop servers send one each
// second.
constexpr seconds kReportDeadline{10};

// The defaults of the official clients for soak tests. No failure is allowed.
constexpr int kSoakIterations = 10;
constexpr seconds kSoakIteration{1};

class Context final : public grpc::ClientContext {
 public:
  explicit Context(milliseconds timeout = kDeadline) {
    set_deadline(std::chrono::system_clock::now() + timeout);
  }

  void Add(const requests::Metadatum& metadatum) { AddMetadata(metadatum.first, metadatum.second); }
};

std::unique_ptr<TestService::Stub> Stub(const SocketAddress& address) {
  return TestService::NewStub(Dial(address));
}

// A FullDuplexCall that sends requests one by one.
class Duplex {
 public:
  explicit Duplex(const SocketAddress& address, milliseconds timeout = kDeadline)
      : context(timeout), stub_(Stub(address)) {}
  ~Duplex() { context.TryCancel(); }

  void Send(const StreamingOutputCallRequest& request) {
    if (!stream_) stream_ = stub_->FullDuplexCall(&context);
    stream_->Write(request);  // if it fails, the next read or the status has the error
  }

  void HalfClose() {
    if (!stream_) stream_ = stub_->FullDuplexCall(&context);
    stream_->WritesDone();
  }

  void ExpectResponse(int size) {
    StreamingOutputCallResponse response;
    const bool received = stream_->Read(&response);
    if (!received) checks::Ok(stream_->Finish());
    checks::Output(received, response, size);
  }

  grpc::Status ExpectEnd() {
    StreamingOutputCallResponse response;
    checks::End(stream_->Read(&response), response);
    return stream_->Finish();
  }

  Context context;

 private:
  const std::unique_ptr<TestService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<StreamingOutputCallRequest, StreamingOutputCallResponse>>
      stream_;
};

template <typename Stream>
std::vector<StreamingOutputCallResponse> ReadAll(Stream& stream) {
  std::vector<StreamingOutputCallResponse> responses;
  for (StreamingOutputCallResponse response; stream.Read(&response);) responses.push_back(response);
  return responses;
}

void LargeUnary(TestService::Stub& stub, const SimpleRequest& request, Context& context) {
  SimpleResponse response;
  checks::Ok(stub.UnaryCall(&context, request, &response));
  checks::Large(response);
}

void EmptyUnary(const SocketAddress& address) {
  Context context;
  Empty response;
  checks::Ok(Stub(address)->EmptyCall(&context, Empty(), &response));
  checks::Equal("size of the response in bytes", static_cast<long>(response.ByteSizeLong()), 0);
}

void LargeUnary(const SocketAddress& address) {
  Context context;
  LargeUnary(*Stub(address), requests::Large(), context);
}

// Sends POSTs, which no proxy caches, because a C-core client cannot mark a request as cacheable
// (grpc/grpc 28922). The responses are equal because the server answers equal requests equally.
void CacheableUnary(const SocketAddress& address) {
  const auto stub = Stub(address);
  const SimpleRequest request = requests::Cacheable();
  const auto call = [&] {
    Context context;
    context.Add(requests::kUserIp);
    SimpleResponse response;
    checks::Ok(stub->CacheableUnaryCall(&context, request, &response));
    return response.payload().body();
  };
  const std::string first = call();
  checks::Equal("payload of the second response", call(), first);
}

void ClientCompressedUnary(const SocketAddress& address) {
  const auto stub = Stub(address);
  {
    Context context;
    SimpleResponse response;
    checks::HasStatus(stub->UnaryCall(&context, requests::LargeExpecting(true), &response),
                      grpc::StatusCode::INVALID_ARGUMENT);
  }
  for (const bool compressed : {true, false}) {
    Context context;
    if (compressed) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    LargeUnary(*stub, requests::LargeExpecting(compressed), context);
  }
}

void ServerCompressedUnary(const SocketAddress& address) {
  const auto stub = Stub(address);
  for (const bool compressed : {true, false}) {
    Context context;
    LargeUnary(*stub, requests::LargeResponseCompressed(compressed), context);
    checks::Equal("compressed flag of the response", WasCompressed(context.c_call()), compressed);
  }
}

void ClientStreaming(const SocketAddress& address) {
  const auto stub = Stub(address);
  Context context;
  StreamingInputCallResponse response;
  const auto stream = stub->StreamingInputCall(&context, &response);
  long sum = 0;
  for (const int size : requests::kRequestBytes) {
    stream->Write(requests::Input(size));
    sum += size;
  }
  stream->WritesDone();
  checks::Ok(stream->Finish());
  checks::Equal("aggregated_payload_size", long{response.aggregated_payload_size()}, sum);
}

void ClientCompressedStreaming(const SocketAddress& address) {
  const auto stub = Stub(address);
  {
    Context context;
    StreamingInputCallResponse response;
    const auto stream = stub->StreamingInputCall(&context, &response);
    stream->Write(requests::InputExpecting(requests::kCompressedRequestBytes, true));
    stream->WritesDone();
    checks::HasStatus(stream->Finish(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  Context context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  StreamingInputCallResponse response;
  const auto stream = stub->StreamingInputCall(&context, &response);
  stream->Write(requests::InputExpecting(requests::kCompressedRequestBytes, true));
  stream->Write(requests::InputExpecting(requests::kPlainRequestBytes, false),
                grpc::WriteOptions().set_no_compression());
  stream->WritesDone();
  checks::Ok(stream->Finish());
  checks::Equal("aggregated_payload_size", long{response.aggregated_payload_size()},
                long{requests::kCompressedRequestBytes + requests::kPlainRequestBytes});
}

void ServerStreaming(const SocketAddress& address) {
  const auto stub = Stub(address);
  Context context;
  const auto stream =
      stub->StreamingOutputCall(&context, requests::Output(requests::kResponseBytes));
  const auto responses = ReadAll(*stream);
  checks::Ok(stream->Finish());
  checks::Outputs(responses, requests::kResponseBytes);
}

void ServerCompressedStreaming(const SocketAddress& address) {
  const auto stub = Stub(address);
  Context context;
  const auto stream = stub->StreamingOutputCall(&context, requests::CompressedOutput());
  for (const bool compressed : {true, false}) {
    StreamingOutputCallResponse response;
    checks::Output(stream->Read(&response), response,
                   compressed ? requests::kCompressedResponseBytes : requests::kPlainResponseBytes);
    checks::Equal("compressed flag of the response", WasCompressed(context.c_call()), compressed);
  }
  StreamingOutputCallResponse response;
  checks::End(stream->Read(&response), response);
  checks::Ok(stream->Finish());
}

void PingPong(const SocketAddress& address) {
  Duplex duplex(address);
  for (std::size_t turn = 0; turn < requests::kRequestBytes.size(); ++turn) {
    const int size = requests::kResponseBytes[turn];
    duplex.Send(requests::OutputWithPayload(requests::kRequestBytes[turn], size));
    duplex.ExpectResponse(size);
  }
  duplex.HalfClose();
  checks::Ok(duplex.ExpectEnd());
}

void HalfDuplex(const SocketAddress& address) {
  const auto stub = Stub(address);
  Context context;
  const auto stream = stub->HalfDuplexCall(&context);
  for (const int size : requests::kResponseBytes) stream->Write(requests::Output({size}));
  stream->WritesDone();
  const auto responses = ReadAll(*stream);
  checks::Ok(stream->Finish());
  checks::Outputs(responses, requests::kResponseBytes);
}

void EmptyStream(const SocketAddress& address) {
  Duplex duplex(address);
  duplex.HalfClose();
  checks::Ok(duplex.ExpectEnd());
}

void CustomMetadata(const SocketAddress& address) {
  {
    Context context;
    context.Add(requests::kEchoInitial);
    context.Add(requests::kEchoTrailing);
    LargeUnary(*Stub(address), requests::Large(), context);
    checks::Echoes(context);
  }
  Duplex duplex(address);
  duplex.context.Add(requests::kEchoInitial);
  duplex.context.Add(requests::kEchoTrailing);
  duplex.Send(
      requests::OutputWithPayload(requests::kLargeRequestBytes, requests::kLargeResponseBytes));
  duplex.HalfClose();
  duplex.ExpectResponse(requests::kLargeResponseBytes);
  checks::Ok(duplex.ExpectEnd());
  checks::Echoes(duplex.context);
}

grpc::Status UnaryStatus(const SocketAddress& address, const grpc::testing::EchoStatus& wanted) {
  Context context;
  SimpleRequest request;
  *request.mutable_response_status() = wanted;
  SimpleResponse response;
  return Stub(address)->UnaryCall(&context, request, &response);
}

void StatusCodeAndMessage(const SocketAddress& address) {
  checks::HasStatus(UnaryStatus(address, requests::Status()), requests::Status());
  Duplex duplex(address);
  StreamingOutputCallRequest request;
  *request.mutable_response_status() = requests::Status();
  duplex.Send(request);
  duplex.HalfClose();
  checks::HasStatus(duplex.ExpectEnd(), requests::Status());
}

void SpecialStatusMessage(const SocketAddress& address) {
  checks::HasStatus(UnaryStatus(address, requests::SpecialStatus()), requests::SpecialStatus());
}

void UnimplementedMethod(const SocketAddress& address) {
  Context context;
  Empty response;
  checks::HasStatus(Stub(address)->UnimplementedCall(&context, Empty(), &response),
                    grpc::StatusCode::UNIMPLEMENTED);
}

void UnimplementedServiceCase(const SocketAddress& address) {
  Context context;
  Empty response;
  checks::HasStatus(
      UnimplementedService::NewStub(Dial(address))->UnimplementedCall(&context, Empty(), &response),
      grpc::StatusCode::UNIMPLEMENTED);
}

void CancelAfterBegin(const SocketAddress& address) {
  const auto stub = Stub(address);
  Context context;
  StreamingInputCallResponse response;
  const auto stream = stub->StreamingInputCall(&context, &response);
  context.TryCancel();
  checks::HasStatus(stream->Finish(), grpc::StatusCode::CANCELLED);
}

void CancelAfterFirstResponse(const SocketAddress& address) {
  Duplex duplex(address);
  const int size = requests::kResponseBytes.front();
  duplex.Send(requests::OutputWithPayload(requests::kRequestBytes.front(), size));
  duplex.ExpectResponse(size);
  duplex.context.TryCancel();
  checks::HasStatus(duplex.ExpectEnd(), grpc::StatusCode::CANCELLED);
}

void TimeoutOnSleepingServer(const SocketAddress& address) {
  Duplex duplex(address, kShortDeadline);
  duplex.Send(requests::Sleeper());
  checks::HasStatus(duplex.ExpectEnd(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

void PickFirstUnary(const SocketAddress& address) {
  const auto stub = Stub(address);
  SimpleRequest request;
  request.set_fill_server_id(true);
  std::vector<std::string> ids;
  for (int number = 0; number < requests::kPickFirstCalls; ++number) {
    Context context;
    SimpleResponse response;
    checks::Ok(stub->UnaryCall(&context, request, &response));
    ids.push_back(response.server_id());
  }
  checks::SameServer(ids);
}

void ConcurrentLargeUnary(const SocketAddress& address) {
  struct Call {
    Context context{kConcurrentDeadline};
    SimpleResponse response;
    std::string fault;
  };
  const auto stub = Stub(address);
  const SimpleRequest request = requests::Large();
  std::vector<Call> calls(requests::kConcurrentCalls);
  std::latch done(requests::kConcurrentCalls);
  for (Call& call : calls) {
    stub->async()->UnaryCall(&call.context, &request, &call.response,
                             [&call, &done](const grpc::Status& status) {
                               try {
                                 checks::Ok(status);
                                 checks::Large(call.response);
                               } catch (const checks::CaseFailure& failure) {
                                 call.fault = failure.what();
                               }
                               call.response.Clear();
                               done.count_down();
                             });
  }
  done.wait();
  for (const Call& call : calls) checks::Equal("error of a call", call.fault, "");
}

// Makes a call ten times within a time limit. Continues after a failure.
template <typename Iteration>
void Soak(const Iteration& iteration) {
  std::vector<std::string> faults;
  long done = 0;
  const auto last = steady_clock::now() + kSoakIterations * kSoakIteration;
  for (; done < kSoakIterations && steady_clock::now() <= last; ++done) {
    const auto started = steady_clock::now();
    try {
      iteration();
      if (const auto took = steady_clock::now() - started; took > kSoakIteration) {
        faults.push_back(fmt::format("took {} ms", took / milliseconds(1)));
      }
    } catch (const checks::CaseFailure& failure) {
      faults.emplace_back(failure.what());
    }
  }
  checks::Equal("number of iterations in time", done, long{kSoakIterations});
  if (!faults.empty()) {
    throw checks::CaseFailure(fmt::format("failed iterations: expected none, got {}, first: {}",
                                          faults.size(), faults.front()));
  }
}

void RpcSoak(const SocketAddress& address) {
  const auto stub = Stub(address);
  Soak([&stub] {
    Context context;
    LargeUnary(*stub, requests::Large(), context);
  });
}

void ChannelSoak(const SocketAddress& address) {
  grpc::ChannelArguments arguments;
  // By default, C-core shares the connections of channels to one address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  Soak([&] {
    Context context;
    LargeUnary(*TestService::NewStub(Dial(address, arguments)), requests::Large(), context);
  });
}

// Known to fail, because C-core gives this trailer only to load balancing policies, and its
// interface for them is not public (gRFC A51).
void OrcaPerRpc(const SocketAddress& address) {
  Context context;
  SimpleRequest request;
  *request.mutable_orca_per_query_report() = requests::ReportOfCall();
  SimpleResponse response;
  checks::Ok(Stub(address)->UnaryCall(&context, request, &response));
  checks::ReportedWithCall(context);
}

// Reads reports until the expected one arrives. Ignores older ones.
void WaitForReport(grpc::ClientReader<OrcaLoadReport>& reports, const OrcaLoadReport& expected) {
  const auto last = steady_clock::now() + kReportDeadline;
  for (OrcaLoadReport report; reports.Read(&report);) {
    if (checks::Same(report, expected)) return;
    if (steady_clock::now() > last) {
      checks::Equal(fmt::format("load report after {} s", kReportDeadline.count()),
                    report.ShortDebugString(), expected.ShortDebugString());
    }
  }
  checks::Ok(reports.Finish());
  checks::Equal("load report", std::string("the end of the stream"), expected.ShortDebugString());
}

void OrcaOob(const SocketAddress& address) {
  const auto listener = xds::service::orca::v3::OpenRcaService::NewStub(Dial(address));
  Context listening;
  const auto reports = listener->StreamCoreMetrics(&listening, requests::Listening());
  Duplex duplex(address);
  for (const auto& report : requests::ReportsOutOfBand()) {
    duplex.Send(requests::Reporting(report));
    duplex.ExpectResponse(1);
    WaitForReport(*reports, ToLoadReport(report));
  }
  duplex.HalfClose();
  checks::Ok(duplex.ExpectEnd());
  listening.TryCancel();
  reports->Finish();
}

}  // namespace

const std::map<std::string, InteropCase>& InteropCases() {
  static const std::map<std::string, InteropCase> cases = {
      {"cacheable_unary", CacheableUnary},
      {"cancel_after_begin", CancelAfterBegin},
      {"cancel_after_first_response", CancelAfterFirstResponse},
      {"channel_soak", ChannelSoak},
      {"client_compressed_streaming", ClientCompressedStreaming},
      {"client_compressed_unary", ClientCompressedUnary},
      {"client_streaming", ClientStreaming},
      {"concurrent_large_unary", ConcurrentLargeUnary},
      {"custom_metadata", CustomMetadata},
      {"empty_stream", EmptyStream},
      {"empty_unary", EmptyUnary},
      {"half_duplex", HalfDuplex},
      {"large_unary", LargeUnary},
      {"orca_oob", OrcaOob},
      {"orca_per_rpc", OrcaPerRpc},
      {"pick_first_unary", PickFirstUnary},
      {"ping_pong", PingPong},
      {"rpc_soak", RpcSoak},
      {"server_compressed_streaming", ServerCompressedStreaming},
      {"server_compressed_unary", ServerCompressedUnary},
      {"server_streaming", ServerStreaming},
      {"special_status_message", SpecialStatusMessage},
      {"status_code_and_message", StatusCodeAndMessage},
      {"timeout_on_sleeping_server", TimeoutOnSleepingServer},
      {"unimplemented_method", UnimplementedMethod},
      {"unimplemented_service", UnimplementedServiceCase},
  };
  return cases;
}

}  // namespace samehost::interop
