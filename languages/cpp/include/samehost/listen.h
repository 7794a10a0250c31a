#ifndef SAMEHOST_LISTEN_H_
#define SAMEHOST_LISTEN_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "samehost/error.h"
#include "samehost/listen_options.h"
#include "samehost/socket_address.h"

namespace samehost {

// A running gRPC server on a Unix domain socket. Not thread-safe.
class Server {
 public:
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  // Stops with a grace of 0 if the server is still running.
  ~Server();

  // Stops the server and drops no call that a client has already sent. Removes the path, so that a
  // successor can start; moves clients to new connections; and lets calls in progress finish within
  // the grace. Cancels the remaining calls 1.2 s after the grace at the latest.
  //
  // Then waits for all handlers, as grpc::Server::Shutdown does, even for a handler that ignores
  // its cancellation. Further calls have no effect.
  void Stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

 private:
  class Impl;
  friend Server Listen(const SocketAddress& address, grpc::ServerBuilder& builder,
                       ListenOptions options);

  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Starts a server on a Unix domain socket and returns when clients can connect. The builder needs
// no port. Its services must outlive the server. Replaces the socket of a killed server.
//
// Throws InUseError, UnsafeFolderError, LockFileError, NotSocketError and CancelledError, and Error
// if the system refuses access.
Server Listen(const SocketAddress& address, grpc::ServerBuilder& builder,
              ListenOptions options = {});

}  // namespace samehost

#endif  // SAMEHOST_LISTEN_H_
