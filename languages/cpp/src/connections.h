#ifndef SAMEHOST_SRC_CONNECTIONS_H_
#define SAMEHOST_SRC_CONNECTIONS_H_

#include <chrono>
#include <filesystem>

namespace samehost::internal {

// gRPC does not report whether clients are connected, so these functions check the descriptors of
// this process.

// Returns whether the socket that was bound to a path has a connection, accepted or waiting.
// Returns true if the system does not list the descriptors. A listener keeps the path that it was
// bound to as its name when its file is renamed or removed.
bool HasClient(const std::filesystem::path& bound);

// Waits until the socket that was bound to a path has no connection, or the time has passed.
void WaitForNoClient(const std::filesystem::path& bound, std::chrono::milliseconds at_most);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_CONNECTIONS_H_
