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

// How often to look; a look takes some 2 microseconds for each open descriptor.
constexpr milliseconds kPace{10};

// How many looks in a row must find no client: one may fall between accept(2), which takes a
// connection out of the queue, and the new descriptor.
constexpr int kQuietLooks = 2;

// Where the system lists the open descriptors of this process.
fs::directory_iterator OpenDescriptors() {
  std::error_code absent;
  fs::directory_iterator descriptors("/proc/self/fd", absent);
  return absent ? fs::directory_iterator("/dev/fd") : descriptors;
}

bool IsBoundTo(int descriptor, const fs::path& bound) {
  sockaddr_un name{};
  socklen_t size = sizeof(name);
  // Fails where it is no socket, or was closed meanwhile.
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
bool IsDialled(int listener) {
  pollfd waiting{listener, POLLIN, 0};
  return poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN) != 0;
}

}  // namespace

// An accepted socket has the name of its listener (unix(7)), so the descriptors of this process are
// asked for theirs. /proc/net/unix would not do: it lists an accepted socket in the network
// namespace of the client. Nor is a descriptor duplicated: that would keep a connection open which
// gRPC closes meanwhile.
bool HasClient(const fs::path& bound) {
  try {
    for (const auto& each : OpenDescriptors()) {
      const int descriptor = std::stoi(each.path().filename());
      if (IsBoundTo(descriptor, bound) && (!Listens(descriptor) || IsDialled(descriptor))) {
        return true;
      }
    }
    return false;
  } catch (const fs::filesystem_error&) {
    return true;
  }
}

void AwaitNoClient(const fs::path& bound, milliseconds at_most) {
  const auto end = steady_clock::now() + at_most;
  for (int quiet = 0; steady_clock::now() < end;) {
    quiet = HasClient(bound) ? 0 : quiet + 1;
    if (quiet == kQuietLooks) return;
    std::this_thread::sleep_until(std::min(end, steady_clock::now() + kPace));
  }
}

}  // namespace samehost::internal
