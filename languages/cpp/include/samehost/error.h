#ifndef SAMEHOST_ERROR_H_
#define SAMEHOST_ERROR_H_

#include <stdexcept>
#include <string>
#include <system_error>

namespace samehost {

// The base of all errors. The message has the path, the cause and the remedy in one line.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::error_code code = {})
      : std::runtime_error(what), code_(code) {}

  // The error of the system, such as std::errc::permission_denied; 0 if there was no such error.
  const std::error_code& code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

// The path is relative, is too long or has characters that gRPC libraries read differently.
class AddressError : public Error {
  using Error::Error;
};

// Another server uses the path.
class InUseError : public Error {
  using Error::Error;
};

// Every user can replace the socket.
class UnsafeFolderError : public Error {
  using Error::Error;
};

// The lock file has other content or is not a regular file, or other users can lock it.
class LockFileError : public Error {
  using Error::Error;
};

// The path is not a socket.
class NotSocketError : public Error {
  using Error::Error;
};

// No server listens: the socket does not exist, or its server was killed.
class NoServerError : public Error {
  using Error::Error;
};

// The server does not speak HTTP/2.
class NotGrpcError : public Error {
  using Error::Error;
};

// ListenOptions::cancel was requested before clients could connect.
class CancelledError : public Error {
  using Error::Error;
};

}  // namespace samehost

#endif  // SAMEHOST_ERROR_H_
