#ifndef SAMEHOST_ERROR_H_
#define SAMEHOST_ERROR_H_

#include <stdexcept>
#include <string>
#include <system_error>

namespace samehost {

// Why something failed: `what` names the path, the cause and the remedy in one line.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::error_code code = {})
      : std::runtime_error(what), code_(code) {}

  // What the system returned, such as std::errc::permission_denied; 0 if it returned no error.
  const std::error_code& code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

// The path is relative, too long, or has characters that gRPC libraries do not read alike.
class AddressError : public Error {
  using Error::Error;
};

// Another server has the path.
class InUseError : public Error {
  using Error::Error;
};

// Every user may replace the socket.
class UnsafeFolderError : public Error {
  using Error::Error;
};

// The lock file has other content, is not a regular file, or another user may lock it.
class LockFileError : public Error {
  using Error::Error;
};

// Another kind of file is at the path.
class NotSocketError : public Error {
  using Error::Error;
};

// Nobody listens: there is no socket, or its server is gone.
class NoServerError : public Error {
  using Error::Error;
};

// A server listens that does not speak HTTP/2.
class NotGrpcError : public Error {
  using Error::Error;
};

// ListenOptions::cancel was set before the server was published.
class CancelledError : public Error {
  using Error::Error;
};

}  // namespace samehost

#endif  // SAMEHOST_ERROR_H_
