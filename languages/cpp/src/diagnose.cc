#include "samehost/diagnose.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string_view>

#include "file_descriptor.h"
#include "messages.h"
#include "socket_probe.h"
#include "text.h"

namespace samehost {
namespace {

using internal::CannotConnect;
using internal::PathState;
using std::chrono::steady_clock;

// A server has this long to send its first frame. It needs less than a millisecond.
constexpr std::chrono::seconds kHandshake{1};

// The client's preface with an empty SETTINGS frame (RFC 9113, 3.4).
constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

// The header of a frame (RFC 9113, 4.1).
constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kTypeOffset = 3;
constexpr char kSettings = 4;

std::string Escaped(const std::string& bytes) {
  std::string escaped;
  for (const unsigned char byte : bytes) {
    const bool printable = byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '\'';
    escaped += printable ? std::string(1, static_cast<char>(byte)) : "\\x" + internal::Hex(byte, 2);
  }
  return escaped;
}

// Reads the header of the first frame, or less if the server closes the connection. Returns 0 or an
// errno: ETIMEDOUT if the server is too slow.
int ReadFirstFrameHeader(const std::filesystem::path& path, std::string& header) {
  const internal::FileDescriptor connection(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (const int error = internal::Connect(connection.get(), path); error != 0) return error;
  if (send(connection.get(), kPreface.data(), kPreface.size(), MSG_NOSIGNAL) < 0) return errno;
  const auto end = steady_clock::now() + kHandshake;
  while (header.size() < kFrameHeaderBytes) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now()).count();
    pollfd readable{connection.get(), POLLIN, 0};
    const int ready = left > 0 ? poll(&readable, 1, static_cast<int>(left)) : 0;
    if (ready == 0) return ETIMEDOUT;
    if (ready < 0) continue;  // a signal interrupted the wait
    char buffer[kFrameHeaderBytes];
    const ssize_t size =
        recv(connection.get(), static_cast<char*>(buffer), kFrameHeaderBytes - header.size(), 0);
    if (size < 0) return errno;
    if (size == 0) return 0;
    header.append(static_cast<const char*>(buffer), static_cast<std::size_t>(size));
  }
  return 0;
}

void DiagnoseProtocol(const std::filesystem::path& path) {
  std::string header;
  const int error = ReadFirstFrameHeader(path, header);
  if (error == ETIMEDOUT || error == EAGAIN) {
    throw CannotConnect<NotGrpcError>(
        path, "the server sent nothing within " + std::to_string(kHandshake.count()) + " s",
        "check that it is a gRPC server and that it is not blocked");
  }
  if (error != 0 || header.empty()) {
    throw CannotConnect<NotGrpcError>(
        path,
        "the server closed the connection" + (error != 0 ? ": " + internal::Reason(error) : ""),
        "check that it is a gRPC server", error);
  }
  if (header.size() == kFrameHeaderBytes && header[kTypeOffset] == kSettings) return;
  throw CannotConnect<NotGrpcError>(
      path, "the server does not speak HTTP/2, its answer starts with '" + Escaped(header) + "'",
      "use the path of a gRPC server");
}

}  // namespace

void Diagnose(const SocketAddress& address) {
  Probe(address);
  DiagnoseProtocol(address.path());
}

void Probe(const SocketAddress& address) {
  const std::filesystem::path& path = address.path();
  switch (internal::ProbePath(address)) {
    case PathState::kAbsent: {
      const std::filesystem::path folder = path.parent_path();
      if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
        throw CannotConnect<NoServerError>(path,
                                           "the folder " + folder.string() + " does not exist",
                                           "check the path or mount it");
      }
      throw CannotConnect<NoServerError>(path, "no socket exists there",
                                         "start the server, or mount the folder that it uses");
    }
    case PathState::kStale:
      throw CannotConnect<NoServerError>(path, "no server listens on it",
                                         "start the server again, which replaces the file");
    case PathState::kForbidden:
      throw CannotConnect(path, "permission denied: " + internal::DescribePermissions(path),
                          "join that group, or change the group or mode of the socket", EACCES);
    case PathState::kNotASocket:
      throw CannotConnect<NotSocketError>(path, "it is not a socket",
                                          "use the path that the server was started with");
    case PathState::kLive:
      return;
  }
}

}  // namespace samehost
