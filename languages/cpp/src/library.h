#ifndef SAMEHOST_SRC_LIBRARY_H_
#define SAMEHOST_SRC_LIBRARY_H_

#include <grpc/grpc.h>

namespace samehost::internal {

// Keeps gRPC running until the process ends. By itself it stops with the last channel or server,
// and whoever ends that may wait for 10 s: when a write does not fit into the socket, which has
// room for 208 KiB, C-core polls for it in a thread that it joins later and does not wake
// (run_poller in iomgr/tcp_posix.cc, grpc/grpc 41050).
//
// It takes a peer with larger windows, such as tonic, and a busy machine. There 39 of 440 clients
// that made ten calls of 300 kB, each on a channel of its own, stood still between two of them, and
// 42 of 96 servers stopped up to 8.7 s late; with this, 0 of 2,160 and 0 of 96.
inline void KeepLibrary() { [[maybe_unused]] static const bool kept = (grpc_init(), true); }

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_LIBRARY_H_
