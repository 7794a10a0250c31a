#include "interop_requests.h"

namespace samehost::interop::requests {

using grpc::testing::EchoStatus;
using grpc::testing::SimpleRequest;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::TestOrcaReport;

namespace {

template <typename Message>
void SetPayload(Message& message, int size) {
  message.mutable_payload()->mutable_body()->assign(size, '\0');
}

}  // namespace

SimpleRequest Large() {
  SimpleRequest request;
  request.set_response_size(kLargeResponseBytes);
  SetPayload(request, kLargeRequestBytes);
  return request;
}

SimpleRequest LargeExpecting(bool compressed) {
  SimpleRequest request = Large();
  request.mutable_expect_compressed()->set_value(compressed);
  return request;
}

SimpleRequest LargeResponseCompressed(bool compressed) {
  SimpleRequest request = Large();
  request.mutable_response_compressed()->set_value(compressed);
  return request;
}

SimpleRequest Cacheable() {
  SimpleRequest request;
  request.mutable_payload()->set_body(
      std::to_string(std::chrono::system_clock::now().time_since_epoch().count()));
  return request;
}

EchoStatus Status() {
  EchoStatus status;
  status.set_code(2);
  status.set_message("test status message");
  return status;
}

EchoStatus SpecialStatus() {
  EchoStatus status;
  status.set_code(2);
  status.set_message("\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");
  return status;
}

StreamingInputCallRequest Input(int size) {
  StreamingInputCallRequest request;
  SetPayload(request, size);
  return request;
}

StreamingInputCallRequest InputExpecting(int size, bool compressed) {
  StreamingInputCallRequest request = Input(size);
  request.mutable_expect_compressed()->set_value(compressed);
  return request;
}

StreamingOutputCallRequest Output(const std::vector<int>& sizes) {
  StreamingOutputCallRequest request;
  for (const int size : sizes) request.add_response_parameters()->set_size(size);
  return request;
}

StreamingOutputCallRequest OutputWithPayload(int request_size, int response_size) {
  StreamingOutputCallRequest request = Output({response_size});
  SetPayload(request, request_size);
  return request;
}

StreamingOutputCallRequest CompressedOutput() {
  StreamingOutputCallRequest request = Output({kCompressedResponseBytes, kPlainResponseBytes});
  request.mutable_response_parameters(0)->mutable_compressed()->set_value(true);
  request.mutable_response_parameters(1)->mutable_compressed()->set_value(false);
  return request;
}

StreamingOutputCallRequest Sleeper() {
  StreamingOutputCallRequest request;
  SetPayload(request, kRequestBytes.front());
  return request;
}

TestOrcaReport ReportOfCall() {
  TestOrcaReport report;
  report.set_cpu_utilization(0.8210);
  report.set_memory_utilization(0.5847);
  (*report.mutable_request_cost())["cost"] = 3456.32;
  (*report.mutable_utilization())["util"] = 0.30499;
  return report;
}

std::vector<TestOrcaReport> ReportsOutOfBand() {
  TestOrcaReport first;
  first.set_cpu_utilization(0.8210);
  first.set_memory_utilization(0.5847);
  (*first.mutable_utilization())["util"] = 0.30499;
  TestOrcaReport second;
  second.set_cpu_utilization(0.29309);
  second.set_memory_utilization(0.2);
  (*second.mutable_utilization())["util"] = 0.2039;
  return {first, second};
}

StreamingOutputCallRequest Reporting(const TestOrcaReport& report) {
  StreamingOutputCallRequest request = Output({1});
  *request.mutable_orca_oob_report() = report;
  return request;
}

xds::service::orca::v3::OrcaLoadReportRequest Listening() {
  xds::service::orca::v3::OrcaLoadReportRequest request;
  request.mutable_report_interval()->set_nanos(100'000'000);
  return request;
}

}  // namespace samehost::interop::requests
