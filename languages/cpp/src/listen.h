#ifndef SAMEHOST_LISTEN_H_
#define SAMEHOST_LISTEN_H_

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "health_service.h"
#include "socket_address.h"

namespace samehost {

// The name of this gRPC library in ready lines and locks.
inline constexpr char kImplementation[] = "grpc-c++";

// What to do when someone has removed the socket's file, so that no new client finds the server.
enum class OnRemoved { kServe, kStop };

struct ListenOptions {
  // Permissions of the socket. Connecting takes *write* permission (unix(7)).
  mode_t mode = 0660;
  // The group of the socket. Where it is absent, the system gives one: the process's own or, in a
  // set-gid folder, the folder's.
  std::optional<gid_t> group;
  // Takes the path over from a server that has it, which drains and goes.
  bool take_over = false;
  // Serves, with a warning, also in a folder that every user may write to.
  bool trust_folder = false;
  OnRemoved on_removed = OnRemoved::kServe;
  // After which a client is moved to a new connection, which it does without losing a call. When
  // its path is gone, the server serves on until no client is connected, for 1.3 of them at most.
  std::chrono::milliseconds max_connection_age = std::chrono::seconds(1);
  // How long calls in progress may take when the server stops. The stop takes at most 1.8 s longer,
  // whatever clients and handlers do.
  std::chrono::milliseconds grace = std::chrono::seconds(5);
};

// Serves on a Unix domain socket until SIGTERM, SIGINT or a takeover, then drains. The second
// signal ends the process with 0 at once. A handler that outlasts the grace and ignores its
// cancellation ends the process, too. Calls `ready` when calls succeed. Throws Error where it can't
// serve, or has stopped because its file was removed.
//
// To be called in the main thread before any other thread exists, for every thread must inherit
// that it blocks these signals.
void Listen(const SocketAddress& address, const ListenOptions& options,
            const std::vector<grpc::Service*>& services, HealthService& health,
            const std::function<void()>& ready);

}  // namespace samehost

#endif  // SAMEHOST_LISTEN_H_
