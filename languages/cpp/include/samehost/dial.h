#ifndef SAMEHOST_DIAL_H_
#define SAMEHOST_DIAL_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "samehost/error.h"
#include "samehost/socket_address.h"

namespace samehost {

// Returns a channel to the server at a socket. The channel connects at the first call. A call with
// `context.set_wait_for_ready(true)` waits for a server until its deadline. Other calls fail while
// no server listens.
//
// By default, the channel sends the :authority "localhost", waits 0.1 s to 0.5 s between attempts
// to connect, and allows messages of up to 4 MiB in both directions. The arguments replace these
// defaults.
std::shared_ptr<grpc::Channel> Dial(const SocketAddress& address,
                                    grpc::ChannelArguments arguments = {});

// Waits until the channel is connected to its server. After the timeout, throws the error that
// Diagnose finds, or Error with std::errc::timed_out. Throws at once if waiting cannot help.
void WaitForServer(grpc::Channel& channel, const SocketAddress& address,
                   std::chrono::milliseconds timeout);

}  // namespace samehost

#endif  // SAMEHOST_DIAL_H_
