#ifndef SAMEHOST_SRC_SOCKET_PROBE_H_
#define SAMEHOST_SRC_SOCKET_PROBE_H_

#include <filesystem>
#include <string>

#include "samehost/socket_address.h"

namespace samehost::internal {

enum class PathState {
  kAbsent,      // no file
  kNotASocket,  // another kind of file
  kStale,       // a socket without a listener
  kForbidden,   // a file that this process may not connect to or inspect
  kLive,        // a socket with a listener
};

// Inspects the path and connects to it if it is a socket. Never waits and changes nothing.
//
// A socket that is bound but does not listen yet is reported as stale, because connect(2) returns
// ECONNREFUSED for both. So only the lock prevents two servers on a path.
PathState ProbePath(const SocketAddress& address);

// Does the same for a path through an open folder. Errors name the public path.
PathState ProbePath(const std::filesystem::path& path, const std::filesystem::path& public_path);

// Calls connect(2) with a path and returns 0 or an errno. A path through an open folder may be too
// long for a socket: then it opens the file and connects to its descriptor.
int Connect(int socket, const std::filesystem::path& path);

// Calls bind(2) with a path and returns 0 or an errno.
int Bind(int socket, const std::filesystem::path& path);

// Describes the owner, group and mode of a path, and the user and groups of this process. If it
// cannot inspect the path, it describes the nearest folder above.
std::string DescribePermissions(const std::filesystem::path& path);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SOCKET_PROBE_H_
