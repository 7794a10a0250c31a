#include "socket_probe.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>
#include <vector>

#include "file_descriptor.h"
#include "messages.h"
#include "samehost/error.h"
#include "text.h"

namespace samehost::internal {
namespace {

// Calls connect(2) or bind(2) with a path.
int Call(int (*function)(int, const sockaddr*, socklen_t), int socket,
         const std::filesystem::path& path) {
  if (path.native().size() > kMaxPathBytes) return errno = ENAMETOOLONG;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), kMaxPathBytes);
  const int result = function(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return result == 0 ? 0 : errno;
}

}  // namespace

PathState ProbePath(const SocketAddress& address) {
  return ProbePath(address.path(), address.path());
}

PathState ProbePath(const std::filesystem::path& path, const std::filesystem::path& public_path) {
  const std::string failure = "cannot check " + public_path.string();
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    switch (const int error = errno) {
      case ENOENT:
      case ENOTDIR:
        return PathState::kAbsent;
      case EACCES:
        return PathState::kForbidden;
      default:
        throw MakeError(failure, Reason(error), "check its folder", error);
    }
  }
  if (!S_ISSOCK(found.st_mode)) return PathState::kNotASocket;
  const FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int error = probe.valid() ? Connect(probe.get(), path) : errno;
  switch (error) {
    case ECONNREFUSED:
      return PathState::kStale;
    case ENOENT:
      return PathState::kAbsent;
    case EACCES:
    case EPERM:
      return PathState::kForbidden;
    case 0:
    case EAGAIN:      // its backlog is full, so a server listens
    case EPROTOTYPE:  // a socket of another type uses it
      return PathState::kLive;
    default:  // the system has no free descriptor or memory
      throw MakeError(failure, Reason(error), kRaiseFileLimit, error);
  }
}

int Connect(int socket, const std::filesystem::path& path) {
  if (path.native().size() <= kMaxPathBytes) return Call(connect, socket, path);
  const FileDescriptor file(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file.valid()) return errno;
  return Call(connect, socket, "/proc/self/fd/" + std::to_string(file.get()));
}

int Bind(int socket, const std::filesystem::path& path) { return Call(bind, socket, path); }

std::string DescribePermissions(const std::filesystem::path& path) {
  struct stat found {};
  std::filesystem::path visible = path;
  while (stat(visible.c_str(), &found) != 0) {
    if (visible == visible.parent_path()) return "this process cannot inspect " + path.string();
    visible = visible.parent_path();
  }
  std::vector<gid_t> supplementary(getgroups(0, nullptr));
  getgroups(static_cast<int>(supplementary.size()), supplementary.data());
  std::set<gid_t> groups(supplementary.begin(), supplementary.end());
  groups.insert(getegid());
  std::ostringstream description;
  description << visible.string() << " belongs to uid " << found.st_uid << " and gid "
              << found.st_gid << " with mode " << Octal(found.st_mode & 07777)
              << ", and this process is uid " << geteuid() << " with gids";
  for (const gid_t group : groups) description << ' ' << group;
  return description.str();
}

}  // namespace samehost::internal
