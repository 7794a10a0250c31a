#ifndef SAMEHOST_INTEROP_ORCA_H_
#define SAMEHOST_INTEROP_ORCA_H_

#include <mutex>

#include "samehost/interop/orca_service.grpc.pb.h"
#include "samehost/interop/testing.pb.h"

namespace samehost::interop {

// Backend metrics (ORCA, gRFC A51): a load report with one call, or out of band for as long as one
// listens.

// The trailer with one call's serialized report.
inline constexpr char kLoadReportTrailer[] = "endpoint-load-metrics-bin";

// The report on the wire for the one that a test asks for.
xds::data::orca::v3::OrcaLoadReport ToLoadReport(const grpc::testing::TestOrcaReport& report);

// The server's report out of band: one, which InteropService sets and OpenRcaService sends.
class CurrentLoadReport {
 public:
  void Set(const xds::data::orca::v3::OrcaLoadReport& report) {
    const std::lock_guard lock(mutex_);
    report_ = report;
  }
  xds::data::orca::v3::OrcaLoadReport Get() const {
    const std::lock_guard lock(mutex_);
    return report_;
  }

 private:
  mutable std::mutex mutex_;
  xds::data::orca::v3::OrcaLoadReport report_;  // under mutex_
};

class OpenRcaService final : public xds::service::orca::v3::OpenRcaService::CallbackService {
 public:
  explicit OpenRcaService(const CurrentLoadReport& current) : current_(current) {}

  grpc::ServerWriteReactor<xds::data::orca::v3::OrcaLoadReport>* StreamCoreMetrics(
      grpc::CallbackServerContext* context,
      const xds::service::orca::v3::OrcaLoadReportRequest* request) override;

 private:
  const CurrentLoadReport& current_;
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_ORCA_H_
