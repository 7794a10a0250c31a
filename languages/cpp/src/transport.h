#ifndef SAMEHOST_SRC_TRANSPORT_H_
#define SAMEHOST_SRC_TRANSPORT_H_

namespace samehost::internal {

// What both ends of a connection agree on.

// gRPC's own default for what an end takes in; here neither end sends more either.
inline constexpr int kMaxMessageBytes = 4 * 1024 * 1024;

// No bandwidth probes (GRPC_ARG_HTTP2_BDP_PROBE): they set a window for long round trips, which one
// machine does not have. When a server has moved its clients away it closes a connection as soon as
// its last call is answered; a ping that is written just then fails (EPIPE), and with it the call,
// whose answer is there and was not read yet.
inline constexpr int kBandwidthProbe = 0;

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_TRANSPORT_H_
