#include "samehost/socket_address.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "samehost/error.h"
#include "text.h"

namespace samehost {
namespace {

constexpr std::string_view kScheme = "unix:";

// gRPC reads an address as a URI (grpc/grpc doc/naming.md), in which these begin an escape, a
// query, a fragment and the next of several addresses. Libraries differ in whether they undo that.
constexpr std::string_view kReserved = "%?#,";

bool IsReserved(unsigned char character) {
  return kReserved.find(static_cast<char>(character)) != std::string_view::npos ||
         std::iscntrl(character) != 0;
}

std::string Shown(unsigned char character) {
  return std::iscntrl(character) != 0 ? "'\\x" + internal::Hex(character, 2) + "'"
                                      : std::string("'") + static_cast<char>(character) + "'";
}

// What is wrong with a path, and the remedy; empty if nothing is.
std::string Fault(const std::string& path) {
  if (path.empty()) return "the path is empty; write unix:/absolute/path";
  if (path.starts_with("//")) {
    return "two slashes make the next word a host; write unix:/absolute/path or "
           "unix:///absolute/path";
  }
  if (!path.starts_with('/')) return "the path is not absolute; write unix:/absolute/path";
  if (path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..")) {
    return "the path names a folder; add the name of the socket, as in unix:/run/app/app.sock";
  }
  if (const auto found = std::find_if(path.begin(), path.end(), IsReserved); found != path.end()) {
    return "the path contains " + Shown(*found) +
           ", which gRPC libraries do not all read alike; choose a path without it";
  }
  if (path.size() > kMaxPathBytes) {
    return "the path has " + std::to_string(path.size()) + " bytes and a Unix socket's may have " +
           std::to_string(kMaxPathBytes) + "; choose a shorter one";
  }
  return "";
}

}  // namespace

SocketAddress::SocketAddress(const std::string& text) {
  std::string path = text.starts_with(kScheme) ? text.substr(kScheme.size()) : text;
  if (path.starts_with("///")) path.erase(0, 2);
  if (const std::string fault = Fault(path); !fault.empty()) {
    throw AddressError("bad socket address '" + text + "': " + fault);
  }
  path_ = path;
}

}  // namespace samehost
