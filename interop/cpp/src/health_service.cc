#include "health_service.h"

#include <fmt/format.h>

#include <utility>

namespace samehost::interop {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Sends the status of a service, and sends it again when the server stops.
//
// Only the thread that removes a watcher from `watching_` may finish it. So the end of the server
// and a cancellation cannot both finish it.
class HealthService::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService& health, std::string service)
      : health_(health), service_(std::move(service)), response_(health_.Status(service_)) {
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (ok && Wait()) return;
    ok ? SendLast() : Finish(grpc::Status::CANCELLED);
  }

  void OnCancel() override {
    {
      const std::lock_guard lock(health_.mutex_);
      cancelled_ = true;
      if (health_.watching_.erase(this) == 0) return;
    }
    Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { delete this; }

  void SendLast() {
    const auto first = response_.status();
    response_ = health_.Status(service_);
    if (response_.status() == first) {
      Finish(grpc::Status::OK);
    } else {
      StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    }
  }

 private:
  // Returns false if the server or the call has ended.
  bool Wait() {
    const std::lock_guard lock(health_.mutex_);
    if (health_.ended_ || cancelled_) return false;
    health_.watching_.insert(this);
    return true;
  }

  HealthService& health_;
  const std::string service_;
  HealthCheckResponse response_;
  bool cancelled_ = false;  // guarded by health_.mutex_
};

HealthService::HealthService(std::set<std::string> services)
    : services_([&services] {
        services.insert("");
        return std::move(services);
      }()) {}

void HealthService::End() {
  std::set<Watcher*> watching;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    watching.swap(watching_);
  }
  for (Watcher* watcher : watching) watcher->SendLast();
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (Knows(request->service())) {
    *response = Status(request->service());
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish({grpc::StatusCode::NOT_FOUND,
                     fmt::format("the server has no service '{}'", request->service())});
  }
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext* /*context*/, const HealthCheckRequest* request) {
  return new Watcher(*this, request->service());
}

HealthCheckResponse HealthService::Status(const std::string& service) {
  HealthCheckResponse response;
  const std::lock_guard lock(mutex_);
  if (!Knows(service)) {
    response.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
  } else {
    response.set_status(ended_ ? HealthCheckResponse::NOT_SERVING : HealthCheckResponse::SERVING);
  }
  return response;
}

}  // namespace samehost::interop
