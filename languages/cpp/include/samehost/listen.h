#ifndef SAMEHOST_LISTEN_H_
#define SAMEHOST_LISTEN_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

#include "samehost/error.h"
#include "samehost/listen_options.h"
#include "samehost/socket_address.h"

namespace samehost {

// A gRPC server on a Unix domain socket, which Listen returns. It is for use by one thread.
class Server {
 public:
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  // Stops without a grace, if it is still running.
  ~Server();

  // Stops without refusing a call that was already sent. It removes the path, so that a successor
  // may start; moves connected clients to it; and lets calls in progress finish within the grace.
  // What is left is cancelled 1.2 s after the grace at the latest.
  //
  // Then it waits for the handlers, as grpc::Server::Shutdown does: a handler that ignores its
  // cancellation holds it up. It is harmless if repeated.
  void Stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

 private:
  class Impl;
  friend Server Listen(const SocketAddress& address, grpc::ServerBuilder& builder,
                       ListenOptions options);

  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Starts the server that the builder describes on a Unix domain socket, and returns when clients
// can connect. The builder needs no port, and its services must outlive the server. The file of a
// server that was killed is replaced.
//
// Throws InUseError, UnsafeFolderError, LockFileError, NotSocketError, CancelledError, and Error
// where the system refuses something.
Server Listen(const SocketAddress& address, grpc::ServerBuilder& builder,
              ListenOptions options = {});

}  // namespace samehost

#endif  // SAMEHOST_LISTEN_H_
