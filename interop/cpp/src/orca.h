#ifndef SAMEHOST_INTEROP_ORCA_H_
#define SAMEHOST_INTEROP_ORCA_H_

#include <mutex>

#include "samehost/interop/orca_service.grpc.pb.h"
#include "samehost/interop/testing.pb.h"

namespace samehost::interop {

// Backend metrics (ORCA, gRFC A51): a load report in the trailer of a call, or a stream of reports
// out of band.

// The trailer with the serialized report of a call.
inline constexpr char kLoadReportTrailer[] = "endpoint-load-metrics-bin";

// Converts the report that a test requests to the message of ORCA.
xds::data::orca::v3::OrcaLoadReport ToLoadReport(const grpc::testing::TestOrcaReport& report);

// The single report out of band of the server. InteropService sets it and OpenRcaService sends it.
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
  xds::data::orca::v3::OrcaLoadReport report_;  // guarded by mutex_
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
