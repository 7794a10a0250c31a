#ifndef SAMEHOST_INTEROP_SERVE_H_
#define SAMEHOST_INTEROP_SERVE_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>

#include "health_service.h"
#include "samehost/listen.h"

namespace samehost::interop {

// The name of this gRPC library in ready lines and locks.
inline constexpr char kImplementation[] = "grpc-c++";

// What to do when someone has removed the socket's file, so that no new client finds the server.
enum class OnRemoved { kServe, kStop };

struct ServeOptions {
  ListenOptions listen = {};
  OnRemoved on_removed = OnRemoved::kServe;
  // How long calls in progress may take when the server stops. The stop takes at most 1.8 s longer,
  // whatever clients and handlers do.
  std::chrono::milliseconds grace = std::chrono::seconds(5);
};

// Serves what the builder describes until SIGTERM, SIGINT or a takeover, then drains. The second
// signal ends the process with 0 at once. A handler that outlasts the grace and ignores its
// cancellation ends the process, too. Calls `ready` when calls succeed. Throws Error where it can't
// serve, or has stopped because its file was removed.
//
// To be called in the main thread before any other thread exists, for every thread must inherit
// that it blocks these signals.
void Serve(const SocketAddress& address, ServeOptions options, grpc::ServerBuilder& builder,
           HealthService& health, const std::function<void()>& ready);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_SERVE_H_
