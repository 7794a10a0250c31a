#ifndef SAMEHOST_INTEROP_SERVE_H_
#define SAMEHOST_INTEROP_SERVE_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>

#include "health_service.h"
#include "samehost/listen.h"

namespace samehost::interop {

// The name of the gRPC library in ready lines and lock files.
inline constexpr char kImplementation[] = "grpc-c++";

// The reaction to a socket that was removed or replaced.
enum class OnRemoved { kServe, kStop };

struct ServeOptions {
  ListenOptions listen = {};
  OnRemoved on_removed = OnRemoved::kServe;
  // The time that calls in progress have to finish when the server stops. The stop takes at most
  // 1.8 s longer, even if clients or handlers do not respond.
  std::chrono::milliseconds grace = std::chrono::seconds(5);
};

// Serves until SIGTERM, SIGINT or a takeover, then drains. Calls `ready` when clients can connect.
// The second signal ends the process at once with exit code 0. If a handler ignores its
// cancellation and does not return in time, the process ends, too. Throws Error if the server
// cannot start, or has stopped because its socket was removed.
//
// Call it in the main thread before other threads exist, because every thread must inherit the mask
// that blocks these signals.
void Serve(const SocketAddress& address, ServeOptions options, grpc::ServerBuilder& builder,
           HealthService& health, const std::function<void()>& ready);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_SERVE_H_
