#ifndef SAMEHOST_DIAL_H_
#define SAMEHOST_DIAL_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "socket_address.h"

namespace samehost {

// Gives an ordinary channel to the server at a socket. Nothing is dialled before the first call;
// one with `set_wait_for_ready(true)` then waits for the server until its own deadline.
std::shared_ptr<grpc::Channel> Dial(const SocketAddress& address);

// The same with a connection of its own: C-core's channels to one address share theirs.
std::shared_ptr<grpc::Channel> DialAlone(const SocketAddress& address);

// Waits for a server that is not there yet. Throws Error when the time is over, or at once where
// waiting can't help; it says why no server can be reached.
void WaitForServer(grpc::Channel& channel, const SocketAddress& address,
                   std::chrono::milliseconds timeout);

}  // namespace samehost

#endif  // SAMEHOST_DIAL_H_
