#include "interop_service.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <optional>
#include <random>
#include <vector>

#include "pause.h"
#include "was_compressed.h"

namespace samehost::interop {
namespace {

using grpc::testing::Empty;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;

constexpr char kEchoInitial[] = "x-grpc-test-echo-initial";
constexpr char kEchoTrailing[] = "x-grpc-test-echo-trailing-bin";

grpc::Status Invalid(const std::string& fault) {
  return {grpc::StatusCode::INVALID_ARGUMENT, fault};
}

void EchoMetadata(grpc::CallbackServerContext& context) {
  for (const auto& [key, value] : context.client_metadata()) {
    const std::string copy(value.data(), value.size());
    if (key == kEchoInitial) context.AddInitialMetadata(kEchoInitial, copy);
    if (key == kEchoTrailing) context.AddTrailingMetadata(kEchoTrailing, copy);
  }
}

grpc::Status EchoedStatus(const grpc::testing::EchoStatus& wanted) {
  const bool known =
      wanted.code() >= grpc::StatusCode::OK && wanted.code() <= grpc::StatusCode::UNAUTHENTICATED;
  return {known ? static_cast<grpc::StatusCode>(wanted.code()) : grpc::StatusCode::UNKNOWN,
          wanted.message()};
}

// Returns the status that ends a call without a response: the requested one, or an error of the
// request.
template <typename Request>
std::optional<grpc::Status> Refusal(const Request& request) {
  if (request.response_status().code() != 0) return EchoedStatus(request.response_status());
  if (request.response_type() != grpc::testing::COMPRESSABLE) {
    return Invalid(
        fmt::format("invalid response_type: {}; use 0", static_cast<int>(request.response_type())));
  }
  return std::nullopt;
}

std::optional<grpc::Status> SizeFault(int size) {
  if (0 <= size && size <= kMaxMessageBytes) return std::nullopt;
  return Invalid(fmt::format("invalid size: {} bytes; use 0 to {}", size, kMaxMessageBytes));
}

// Returns an error if `expect_compressed` is set and the request does not match it.
template <typename Request>
std::optional<grpc::Status> CompressionFault(const Request& request,
                                             grpc::CallbackServerContext& context) {
  const bool compressed = WasCompressed(context.c_call());
  if (!request.has_expect_compressed() || request.expect_compressed().value() == compressed) {
    return std::nullopt;
  }
  return Invalid(fmt::format("expect_compressed is {}, but the message was {}",
                             request.expect_compressed().value(),
                             compressed ? "compressed" : "uncompressed"));
}

// Sends the responses that requests define, one request at a time.
template <typename Reactor>
class OutputReactor : public Reactor {
 public:
  explicit OutputReactor(grpc::CallbackServerContext& context) : context_(context) {}

  void OnWriteDone(bool ok) final {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    ++next_;
    AnswerNext();
  }

  void OnCancel() final { pause_.Cancel(); }
  void OnDone() override { delete this; }

 protected:
  // Sends all responses to the request and then calls Answered, or ends the call with an error.
  void Answer(const StreamingOutputCallRequest& request) {
    request_ = request;
    next_ = 0;
    auto refusal = Refusal(request_);
    bool compressed = false;
    for (const auto& wanted : request_.response_parameters()) {
      if (!refusal) refusal = SizeFault(wanted.size());
      compressed |= wanted.compressed().value();
    }
    if (refusal) return this->Finish(*refusal);
    // The headers name the algorithm, so it must be set before the first response. Each message can
    // still turn compression off.
    if (compressed) context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    AnswerNext();
  }

  virtual void Answered() = 0;

 private:
  void AnswerNext() {
    if (next_ == request_.response_parameters_size()) return Answered();
    const std::chrono::microseconds interval(request_.response_parameters(next_).interval_us());
    if (interval <= interval.zero()) return Write();
    pause_.Start(interval, [this](bool completed) {
      completed ? Write() : this->Finish(grpc::Status::CANCELLED);
    });
  }

  void Write() {
    const auto& wanted = request_.response_parameters(next_);
    response_.mutable_payload()->mutable_body()->assign(wanted.size(), '\0');
    response_.set_peer_socket_address(wanted.fill_peer_socket_address().value() ? context_.peer()
                                                                                : "");
    grpc::WriteOptions options;
    if (!wanted.compressed().value()) options.set_no_compression();
    this->StartWrite(&response_, options);
  }

  grpc::CallbackServerContext& context_;
  StreamingOutputCallRequest request_;
  int next_ = 0;
  StreamingOutputCallResponse response_;
  Pause pause_;
};

using ServerStream = OutputReactor<grpc::ServerWriteReactor<StreamingOutputCallResponse>>;
using DuplexStream =
    OutputReactor<grpc::ServerBidiReactor<StreamingOutputCallRequest, StreamingOutputCallResponse>>;

class StreamingOutputReactor final : public ServerStream {
 public:
  StreamingOutputReactor(grpc::CallbackServerContext& context,
                         const StreamingOutputCallRequest& request)
      : ServerStream(context) {
    Answer(request);
  }

 private:
  void Answered() override { Finish(grpc::Status::OK); }
};

// Adds up the sizes of the payloads.
class StreamingInputReactor final : public grpc::ServerReadReactor<StreamingInputCallRequest> {
 public:
  StreamingInputReactor(grpc::CallbackServerContext& context, StreamingInputCallResponse& response)
      : context_(context), response_(response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (const auto fault = CompressionFault(request_, context_)) return Finish(*fault);
    response_.set_aggregated_payload_size(response_.aggregated_payload_size() +
                                          static_cast<int>(request_.payload().body().size()));
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  grpc::CallbackServerContext& context_;
  StreamingInputCallResponse& response_;
  StreamingInputCallRequest request_;
};

// Answers each request when it arrives.
class FullDuplexReactor final : public DuplexStream {
 public:
  FullDuplexReactor(grpc::CallbackServerContext& context, CurrentLoadReport& current, Turns& turns)
      : DuplexStream(context), current_(current), turns_(turns) {
    EchoMetadata(context);
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (!request_.has_orca_oob_report()) return Answer(request_);
    if (has_turn_) return SetReportAndAnswer();
    turns_.Take([this] {
      has_turn_ = true;
      SetReportAndAnswer();
    });
  }

  void OnDone() override {
    if (has_turn_) turns_.GiveBack();
    DuplexStream::OnDone();
  }

 private:
  void SetReportAndAnswer() {
    current_.Set(ToLoadReport(request_.orca_oob_report()));
    Answer(request_);
  }

  void Answered() override { StartRead(&request_); }

  CurrentLoadReport& current_;
  Turns& turns_;
  bool has_turn_ = false;
  StreamingOutputCallRequest request_;
};

// Answers the requests when all have arrived.
class HalfDuplexReactor final : public DuplexStream {
 public:
  explicit HalfDuplexReactor(grpc::CallbackServerContext& context) : DuplexStream(context) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Answered();
    requests_.push_back(request_);
    StartRead(&request_);
  }

 private:
  void Answered() override {
    if (next_ == requests_.size()) return Finish(grpc::Status::OK);
    Answer(requests_[next_++]);
  }

  StreamingOutputCallRequest request_;
  std::vector<StreamingOutputCallRequest> requests_;
  std::size_t next_ = 0;
};

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

InteropService::InteropService(CurrentLoadReport& current)
    : host_name_(HostName()),
      server_id_(fmt::format("{}-{}-{:08x}", host_name_, getpid(), std::random_device()())),
      current_load_report_(current) {}

grpc::ServerUnaryReactor* InteropService::EmptyCall(grpc::CallbackServerContext* context,
                                                    const Empty* /*request*/, Empty* /*response*/) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* InteropService::UnaryCall(grpc::CallbackServerContext* context,
                                                    const SimpleRequest* request,
                                                    SimpleResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  EchoMetadata(*context);
  if (request->has_orca_per_query_report()) {
    context->AddTrailingMetadata(
        kLoadReportTrailer, ToLoadReport(request->orca_per_query_report()).SerializeAsString());
  }
  auto refusal = CompressionFault(*request, *context);
  if (!refusal) refusal = Refusal(*request);
  if (!refusal) refusal = SizeFault(request->response_size());
  if (refusal) {
    reactor->Finish(*refusal);
    return reactor;
  }
  if (request->response_compressed().value()) {
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
  }
  response->mutable_payload()->mutable_body()->assign(request->response_size(), '\0');
  response->set_hostname(host_name_);
  if (request->fill_server_id()) response->set_server_id(server_id_);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

// Returns the payload of the request and lets a proxy cache the response.
grpc::ServerUnaryReactor* InteropService::CacheableUnaryCall(grpc::CallbackServerContext* context,
                                                             const SimpleRequest* request,
                                                             SimpleResponse* response) {
  context->AddInitialMetadata("cache-control", "max-age=60, public");
  *response->mutable_payload() = request->payload();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<StreamingOutputCallResponse>* InteropService::StreamingOutputCall(
    grpc::CallbackServerContext* context, const StreamingOutputCallRequest* request) {
  return new StreamingOutputReactor(*context, *request);
}

grpc::ServerReadReactor<StreamingInputCallRequest>* InteropService::StreamingInputCall(
    grpc::CallbackServerContext* context, StreamingInputCallResponse* response) {
  return new StreamingInputReactor(*context, *response);
}

grpc::ServerBidiReactor<StreamingOutputCallRequest, StreamingOutputCallResponse>*
InteropService::FullDuplexCall(grpc::CallbackServerContext* context) {
  return new FullDuplexReactor(*context, current_load_report_, load_report_turns_);
}

grpc::ServerBidiReactor<StreamingOutputCallRequest, StreamingOutputCallResponse>*
InteropService::HalfDuplexCall(grpc::CallbackServerContext* context) {
  return new HalfDuplexReactor(*context);
}

}  // namespace samehost::interop
