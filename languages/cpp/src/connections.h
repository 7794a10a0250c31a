#ifndef SAMEHOST_SRC_CONNECTIONS_H_
#define SAMEHOST_SRC_CONNECTIONS_H_

#include <chrono>
#include <filesystem>

namespace samehost::internal {

// Whether clients are connected to a listening socket, which gRPC does not tell.

// Tells whether this process has a connection that was accepted by the socket bound to a path, or
// has one waiting; true where the system does not say. The path is the one that was bound, which a
// listener keeps as its name when its file is renamed or removed.
bool HasClient(const std::filesystem::path& bound);

// Waits until no client is connected to the socket bound to a path, or the time is over.
void AwaitNoClient(const std::filesystem::path& bound, std::chrono::milliseconds at_most);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_CONNECTIONS_H_
