#ifndef SAMEHOST_SOCKET_ADDRESS_H_
#define SAMEHOST_SOCKET_ADDRESS_H_

#include <sys/un.h>

#include <filesystem>
#include <string>

namespace samehost {

// The longest path of a socket in bytes: sun_path of unix(7) has one more, for the final NUL.
inline constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

// Where a server listens: an absolute path of at most kMaxPathBytes.
class SocketAddress {
 public:
  // Reads `unix:/absolute/path`, `unix:///absolute/path` or a plain absolute path. Throws
  // AddressError where it is none, or where gRPC's libraries would not all read it alike. These are
  // implicit, so that whatever takes an address takes its text.
  SocketAddress(const std::string& text);
  SocketAddress(const char* text) : SocketAddress(std::string(text)) {}

  const std::filesystem::path& path() const { return path_; }

  // The address as gRPC takes it for a target.
  std::string target() const { return "unix:" + path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace samehost

#endif  // SAMEHOST_SOCKET_ADDRESS_H_
