#ifndef SAMEHOST_INTEROP_HEALTH_SERVICE_H_
#define SAMEHOST_INTEROP_HEALTH_SERVICE_H_

#include <mutex>
#include <set>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"

namespace samehost::interop {

// grpc.health.v1.Health (grpc/grpc doc/health-checking.md). The health service of gRPC does not end
// a watch after NOT_SERVING, so a single watcher would make every stop wait for the whole grace.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  // Reports SERVING for these services and for the server.
  explicit HealthService(std::set<std::string> services);

  // Reports NOT_SERVING for all services from now on, and ends all watches.
  void End();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;

  bool Knows(const std::string& service) const { return services_.count(service) > 0; }
  grpc::health::v1::HealthCheckResponse Status(const std::string& service);

  const std::set<std::string> services_;
  std::mutex mutex_;
  bool ended_ = false;           // guarded by mutex_
  std::set<Watcher*> watching_;  // guarded by mutex_: the watchers that wait for the end
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_HEALTH_SERVICE_H_
