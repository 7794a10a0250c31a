#ifndef SAMEHOST_SRC_LIBRARY_H_
#define SAMEHOST_SRC_LIBRARY_H_

#include <grpc/grpc.h>

namespace samehost::internal {

// Keeps gRPC initialized until the process ends. Without this, gRPC shuts down with the last
// channel or server, and that may take 10 s. When a write does not fit into the socket buffer of
// 208 KiB, C-core polls in a thread that it later joins and does not wake (run_poller in
// iomgr/tcp_posix.cc, grpc/grpc 41050).
//
// This happens with a peer that has larger windows, such as tonic, on a busy machine. There, 39 of
// 440 clients that made ten calls of 300 kB, each on its own channel, paused between two calls, and
// 42 of 96 servers stopped up to 8.7 s late. With this function, it was 0 of 2,160 and 0 of 96.
inline void KeepLibrary() { [[maybe_unused]] static const bool kept = (grpc_init(), true); }

// Turns off bandwidth probes (GRPC_ARG_HTTP2_BDP_PROBE), which adapt the window to long round
// trips. A server that drains closes a connection as soon as the last call has its response. A ping
// that the client writes at this moment fails (EPIPE), and the call fails with it, although its
// response has arrived and is not read yet.
inline constexpr int kBandwidthProbe = 0;

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_LIBRARY_H_
