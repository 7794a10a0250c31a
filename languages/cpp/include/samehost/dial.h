#ifndef SAMEHOST_DIAL_H_
#define SAMEHOST_DIAL_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "samehost/error.h"
#include "samehost/socket_address.h"

namespace samehost {

// Returns a channel to the server at a socket. It connects at the first call. A call with
// `context.set_wait_for_ready(true)` waits for a server until its own deadline; other calls fail
// while none listens.
//
// The channel has an :authority that every server takes, a short backoff, and messages of up to
// 4 MiB in both directions, unless the arguments say otherwise.
std::shared_ptr<grpc::Channel> Dial(const SocketAddress& address,
                                    grpc::ChannelArguments arguments = {});

// Waits until the channel is connected to its server. Throws an error of Diagnose when the time is
// over, or at once where waiting cannot help.
void WaitForServer(grpc::Channel& channel, const SocketAddress& address,
                   std::chrono::milliseconds timeout);

}  // namespace samehost

#endif  // SAMEHOST_DIAL_H_
