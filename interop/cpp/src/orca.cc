#include "orca.h"

#include <algorithm>

#include "pause.h"

namespace samehost::interop {

using xds::data::orca::v3::OrcaLoadReport;
using xds::service::orca::v3::OrcaLoadReportRequest;

namespace {

// The shortest interval between two reports. gRFC A51 requires 30 s in production and allows less
// in tests. The interop servers of Go and Java use 1 s. With 0.1 s, a case is faster.
constexpr Seconds kMinInterval{0.1};

// A day. Every clock can count that far.
constexpr Seconds kMaxInterval{86400};

// Sends the report at once and then once per interval, until the client cancels.
class StreamCoreMetricsReactor final : public grpc::ServerWriteReactor<OrcaLoadReport> {
 public:
  StreamCoreMetricsReactor(const CurrentLoadReport& current, Seconds interval)
      : current_(current), interval_(std::clamp(interval, kMinInterval, kMaxInterval)) {
    Write();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    pause_.Start(interval_,
                 [this](bool completed) { completed ? Write() : Finish(grpc::Status::CANCELLED); });
  }

  void OnCancel() override { pause_.Cancel(); }
  void OnDone() override { delete this; }

 private:
  void Write() {
    report_ = current_.Get();
    StartWrite(&report_);
  }

  const CurrentLoadReport& current_;
  const Seconds interval_;
  OrcaLoadReport report_;
  Pause pause_;
};

}  // namespace

OrcaLoadReport ToLoadReport(const grpc::testing::TestOrcaReport& report) {
  OrcaLoadReport converted;
  converted.set_cpu_utilization(report.cpu_utilization());
  converted.set_mem_utilization(report.memory_utilization());
  *converted.mutable_request_cost() = report.request_cost();
  *converted.mutable_utilization() = report.utilization();
  return converted;
}

grpc::ServerWriteReactor<OrcaLoadReport>* OpenRcaService::StreamCoreMetrics(
    grpc::CallbackServerContext* /*context*/, const OrcaLoadReportRequest* request) {
  return new StreamCoreMetricsReactor(current_, ToSeconds(request->report_interval()));
}

}  // namespace samehost::interop
