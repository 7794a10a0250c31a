#include "socket_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "error.h"
#include "file_descriptor.h"

namespace samehost {
namespace {

// Calls connect(2) or bind(2), which take a path alike.
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

PathState ProbePath(const std::filesystem::path& path, const std::filesystem::path& shown) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    switch (errno) {
      case ENOENT:
      case ENOTDIR:
        return PathState::kAbsent;
      case EACCES:
        return PathState::kForbidden;
      default:
        throw Error(fmt::format("cannot look at {}: {}; check the folder it is in", shown.string(),
                                SystemMessage(errno)));
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
    case EAGAIN:      // its backlog is full, so someone listens
    case EPROTOTYPE:  // someone has it for another kind of socket
      return PathState::kLive;
    default:  // no descriptor or no memory is left
      throw Error(fmt::format("cannot dial {}: {}; let this process open more files",
                              shown.string(), SystemMessage(error)));
  }
}

int Connect(int socket, const std::filesystem::path& path) {
  if (path.native().size() <= kMaxPathBytes) return Call(connect, socket, path);
  const FileDescriptor file(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file.valid()) return errno;
  return Call(connect, socket, fmt::format("/proc/self/fd/{}", file.get()));
}

int Bind(int socket, const std::filesystem::path& path) { return Call(bind, socket, path); }

std::string DescribePermissions(const std::filesystem::path& path) {
  struct stat found {};
  std::filesystem::path visible = path;
  while (stat(visible.c_str(), &found) != 0) {
    if (visible == visible.parent_path())
      return fmt::format("nothing above {} can be seen", path.string());
    visible = visible.parent_path();
  }
  std::vector<gid_t> supplementary(getgroups(0, nullptr));
  getgroups(static_cast<int>(supplementary.size()), supplementary.data());
  std::set<gid_t> groups(supplementary.begin(), supplementary.end());
  groups.insert(getegid());
  return fmt::format(
      "{} belongs to uid {} and gid {} with mode {:04o}, and this process is uid {} with gids {}",
      visible.string(), found.st_uid, found.st_gid, found.st_mode & 07777, geteuid(),
      fmt::join(groups, " "));
}

}  // namespace samehost
