#include "interop_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "orca.h"
#include "status_name.h"

namespace samehost::interop::checks {

using grpc::testing::SimpleResponse;
using grpc::testing::StreamingOutputCallResponse;
using xds::data::orca::v3::OrcaLoadReport;

namespace {

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

[[noreturn]] void Fail(const std::string& what, const std::string& expected,
                       const std::string& got) {
  throw CaseFailure(fmt::format("{}: expected {}, got {}", what, expected, got));
}

void Payload(const std::string& what, const grpc::testing::Payload& got, int size) {
  Equal("payload type of " + what, long{got.type()}, long{grpc::testing::COMPRESSABLE});
  Equal("payload size of " + what, static_cast<long>(got.body().size()), long{size});
  if (std::any_of(got.body().begin(), got.body().end(), [](char byte) { return byte != '\0'; })) {
    Fail("payload of " + what, fmt::format("{} zeros", size), "other bytes");
  }
}

std::vector<std::string> Values(const Metadata& metadata, const std::string& key) {
  std::vector<std::string> values;
  const auto [first, last] = metadata.equal_range(key);
  for (auto each = first; each != last; ++each) {
    values.emplace_back(each->second.data(), each->second.size());
  }
  return values;
}

void Echo(const std::string& what, const Metadata& metadata, const requests::Metadatum& expected) {
  const auto values = Values(metadata, expected.first);
  Equal(fmt::format("number of {} in {}", expected.first, what), static_cast<long>(values.size()),
        1);
  Equal(fmt::format("{} in {}", expected.first, what), values.front(), expected.second);
}

}  // namespace

void Equal(const std::string& what, bool got, bool expected) {
  if (got != expected) Fail(what, fmt::to_string(expected), fmt::to_string(got));
}

void Equal(const std::string& what, long got, long expected) {
  if (got != expected) Fail(what, fmt::to_string(expected), fmt::to_string(got));
}

void Equal(const std::string& what, const std::string& got, const std::string& expected) {
  if (got != expected) Fail(what, Quoted(expected), Quoted(got));
}

void Equal(const std::string& what, const std::vector<int>& got, const std::vector<int>& expected) {
  if (got != expected) Fail(what, fmt::format("{}", expected), fmt::format("{}", got));
}

void Ok(const grpc::Status& status) {
  if (status.ok()) return;
  Fail("status", "OK",
       fmt::format("{} {}", StatusName(status.error_code()), Quoted(status.error_message())));
}

void HasStatus(const grpc::Status& status, grpc::StatusCode code,
               const std::optional<std::string>& message) {
  if (status.error_code() != code) {
    Fail("status code", StatusName(code),
         fmt::format("{} {}", StatusName(status.error_code()), Quoted(status.error_message())));
  }
  if (message) Equal("status message", status.error_message(), *message);
}

void HasStatus(const grpc::Status& status, const grpc::testing::EchoStatus& expected) {
  HasStatus(status, static_cast<grpc::StatusCode>(expected.code()), expected.message());
}

void Large(const SimpleResponse& response) {
  Payload("the response", response.payload(), requests::kLargeResponseBytes);
}

void Output(bool received, const StreamingOutputCallResponse& response, int size) {
  if (!received) {
    Fail("next response of the stream", fmt::format("{} bytes", size), "the end of the stream");
  }
  Payload("the response", response.payload(), size);
}

void Outputs(const std::vector<StreamingOutputCallResponse>& responses,
             const std::vector<int>& sizes) {
  std::vector<int> got;
  for (const auto& each : responses) got.push_back(static_cast<int>(each.payload().body().size()));
  Equal("payload sizes of the responses", got, sizes);
  for (std::size_t number = 0; number < sizes.size(); ++number) {
    Payload(fmt::format("response {}", number + 1), responses[number].payload(), sizes[number]);
  }
}

void End(bool received, const StreamingOutputCallResponse& response) {
  if (!received) return;
  Fail("end of the stream", "no response",
       fmt::format("{} bytes", response.payload().body().size()));
}

void Echoes(const grpc::ClientContext& context) {
  Echo("initial metadata", context.GetServerInitialMetadata(), requests::kEchoInitial);
  Echo("trailing metadata", context.GetServerTrailingMetadata(), requests::kEchoTrailing);
}

void SameServer(const std::vector<std::string>& ids) {
  const std::set<std::string> different(ids.begin(), ids.end());
  if (different.size() == 1 && !different.begin()->empty()) return;
  Fail(fmt::format("server_id of {} responses", ids.size()), "one value that is not empty",
       fmt::format("{}", different));
}

void ReportedWithCall(const grpc::ClientContext& context) {
  const auto values = Values(context.GetServerTrailingMetadata(), kLoadReportTrailer);
  Equal(fmt::format("number of {} in the trailing metadata", kLoadReportTrailer),
        static_cast<long>(values.size()), 1);
  OrcaLoadReport report;
  Equal("load report can be parsed", report.ParseFromString(values.front()), true);
  const OrcaLoadReport expected = ToLoadReport(requests::ReportOfCall());
  if (!Same(report, expected)) {
    Fail("load report", expected.ShortDebugString(), report.ShortDebugString());
  }
}

bool Same(const OrcaLoadReport& one, const OrcaLoadReport& other) {
  return google::protobuf::util::MessageDifferencer::Equals(one, other);
}

}  // namespace samehost::interop::checks
