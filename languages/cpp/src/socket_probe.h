#ifndef SAMEHOST_SRC_SOCKET_PROBE_H_
#define SAMEHOST_SRC_SOCKET_PROBE_H_

#include <filesystem>
#include <string>

#include "samehost/socket_address.h"

namespace samehost::internal {

// What is at the path of an address.
enum class PathState {
  kAbsent,      // nothing
  kNotASocket,  // something other than a socket
  kStale,       // a socket on which nobody listens
  kForbidden,   // something that this process may not connect to, or look at
  kLive,        // a socket on which someone listens
};

// Looks at the path and, where it is a socket, dials it; never waits, never changes anything.
//
// A socket that is bound but does not listen yet looks stale, as connect(2) gives ECONNREFUSED for
// both. That is why servers are kept apart by a lock and not by this.
PathState ProbePath(const SocketAddress& address);

// The same of a path that leads through an open folder; errors show the other one.
PathState ProbePath(const std::filesystem::path& path, const std::filesystem::path& shown);

// connect(2) to a path; 0 or an errno. The path may be longer than a socket's, as one through an
// open folder can be. Then the file is held open, and dialled by its descriptor.
int Connect(int socket, const std::filesystem::path& path);

// bind(2) to a path, which must be as short as a socket's; 0 or an errno.
int Bind(int socket, const std::filesystem::path& path);

// Says whose the path is (or, where it can't be seen, the folder above), with which mode, and who
// asks.
std::string DescribePermissions(const std::filesystem::path& path);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SOCKET_PROBE_H_
