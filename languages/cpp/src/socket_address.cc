#include "samehost/socket_address.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "samehost/error.h"
#include "text.h"

namespace samehost {
namespace {

constexpr std::string_view kScheme = "unix:";

// gRPC parses an address as a URI (grpc/grpc doc/naming.md), where these characters start an
// escape, a query, a fragment and another address. Not all libraries decode them.
constexpr std::string_view kReserved = "%?#,";

bool IsReserved(unsigned char character) {
  return kReserved.find(static_cast<char>(character)) != std::string_view::npos ||
         std::iscntrl(character) != 0;
}

std::string Quoted(unsigned char character) {
  return std::iscntrl(character) != 0 ? "'\\x" + internal::Hex(character, 2) + "'"
                                      : std::string("'") + static_cast<char>(character) + "'";
}

// Returns the error of a path and its remedy, or an empty string if the path is valid.
std::string Fault(const std::string& path) {
  if (path.empty()) return "the path is empty; use unix:/absolute/path";
  if (path.starts_with("//")) {
    return "a host follows two slashes; use unix:/absolute/path or unix:///absolute/path";
  }
  if (!path.starts_with('/')) return "the path is not absolute; use unix:/absolute/path";
  if (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..")) {
    return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
  }
  if (const auto found = std::find_if(path.begin(), path.end(), IsReserved); found != path.end()) {
    return "gRPC libraries read " + Quoted(*found) +
           " in a path differently; use a path without it";
  }
  if (path.size() > kMaxPathBytes) {
    return "the path has " + std::to_string(path.size()) + " bytes, and a socket can have " +
           std::to_string(kMaxPathBytes) + "; use a shorter path";
  }
  return "";
}

}  // namespace

SocketAddress::SocketAddress(const std::string& text) {
  std::string path = text.starts_with(kScheme) ? text.substr(kScheme.size()) : text;
  if (path.starts_with("///")) path.erase(0, 2);
  if (const std::string fault = Fault(path); !fault.empty()) {
    throw AddressError("invalid socket address '" + text + "': " + fault);
  }
  path_ = path;
}

}  // namespace samehost
