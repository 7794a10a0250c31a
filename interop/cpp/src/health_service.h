#ifndef SAMEHOST_INTEROP_HEALTH_SERVICE_H_
#define SAMEHOST_INTEROP_HEALTH_SERVICE_H_

#include <mutex>
#include <set>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"

namespace samehost::interop {

// grpc.health.v1.Health (grpc/grpc doc/health-checking.md). The one that the library brings lets
// its watches outlast NOT_SERVING, so that a single watcher would cost every stop the whole grace.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  // Says SERVING of these services, and of the server as a whole.
  explicit HealthService(std::set<std::string> services);

  // Says NOT_SERVING of everything for good, and ends all watches.
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
  bool ended_ = false;           // under mutex_
  std::set<Watcher*> watching_;  // under mutex_: those with nothing to say before the end
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_HEALTH_SERVICE_H_
