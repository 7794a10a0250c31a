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

// No bandwidth probes (GRPC_ARG_HTTP2_BDP_PROBE): they set a window for long round trips, which one
// machine does not have. When a server has moved its clients away it closes a connection as soon as
// its last call is answered; a ping that is written just then fails (EPIPE), and with it the call,
// whose answer is there and was not read yet.
inline constexpr int kBandwidthProbe = 0;

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_LIBRARY_H_
