#include "connections.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The interval between two checks. A check takes about 2 microseconds for each open descriptor.
constexpr milliseconds kInterval{10};

// The number of checks in a row that must find no client. A single check may miss a connection that
// accept(2) has taken out of the queue and that has no descriptor yet.
constexpr int kChecks = 2;

// Lists the open descriptors of this process.
fs::directory_iterator OpenDescriptors() {
  std::error_code absent;
  fs::directory_iterator descriptors("/proc/self/fd", absent);
  return absent ? fs::directory_iterator("/dev/fd") : descriptors;
}

bool IsBoundTo(int descriptor, const fs::path& bound) {
  sockaddr_un name{};
  socklen_t size = sizeof(name);
  // Fails if the descriptor is not a socket, or was closed meanwhile.
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  return name.sun_family == AF_UNIX &&
         bound.native() ==
             std::string_view(name.sun_path, strnlen(name.sun_path, sizeof(name.sun_path)));
}

bool Listens(int descriptor) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// Whether a connection waits in the queue of a listener.
bool HasWaitingConnection(int listener) {
  pollfd waiting{listener, POLLIN, 0};
  return poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN) != 0;
}

}  // namespace

// An accepted socket has the name of its listener (unix(7)), so this function compares the names of
// all descriptors of the process. /proc/net/unix is not enough, because it lists an accepted socket
// in the network namespace of the client. The function duplicates no descriptor, because a
// duplicate would keep a connection open that gRPC closes meanwhile.
bool HasClient(const fs::path& bound) {
  try {
    for (const auto& each : OpenDescriptors()) {
      const int descriptor = std::stoi(each.path().filename());
      if (IsBoundTo(descriptor, bound) &&
          (!Listens(descriptor) || HasWaitingConnection(descriptor))) {
        return true;
      }
    }
    return false;
  } catch (const fs::filesystem_error&) {
    return true;
  }
}

void WaitForNoClient(const fs::path& bound, milliseconds at_most) {
  const auto end = steady_clock::now() + at_most;
  for (int checks = 0; steady_clock::now() < end;) {
    checks = HasClient(bound) ? 0 : checks + 1;
    if (checks == kChecks) return;
    std::this_thread::sleep_until(std::min(end, steady_clock::now() + kInterval));
  }
}

}  // namespace samehost::internal
