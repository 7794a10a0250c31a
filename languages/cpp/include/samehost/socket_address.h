#ifndef SAMEHOST_SOCKET_ADDRESS_H_
#define SAMEHOST_SOCKET_ADDRESS_H_

#include <sys/un.h>

#include <filesystem>
#include <string>

namespace samehost {

// The longest path of a socket in bytes. sun_path of unix(7) has one more byte for the final NUL.
inline constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

// The address of a server: an absolute path of at most kMaxPathBytes.
class SocketAddress {
 public:
  // Parses `unix:/absolute/path`, `unix:///absolute/path` or an absolute path. Throws AddressError
  // if the text is none of these, or gRPC libraries would read it differently. Implicit, so that a
  // function with an address parameter accepts a string.
  SocketAddress(const std::string& text);
  SocketAddress(const char* text) : SocketAddress(std::string(text)) {}

  const std::filesystem::path& path() const { return path_; }

  // The target for a gRPC channel.
  std::string target() const { return "unix:" + path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace samehost

#endif  // SAMEHOST_SOCKET_ADDRESS_H_
