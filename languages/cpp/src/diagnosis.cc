#include "diagnosis.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string_view>

#include "file_descriptor.h"
#include "socket_probe.h"
#include "status_name.h"

namespace samehost {
namespace {

using std::chrono::steady_clock;

// How long a server may take to send its first frame; on one machine it takes less than a
// millisecond.
constexpr std::chrono::milliseconds kHandshake{1000};

// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's
// header has its type.
constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kTypeOffset = 3;
constexpr char kSettings = 4;

std::string Escaped(const std::string& bytes) {
  std::string escaped;
  for (const unsigned char byte : bytes) {
    const bool printable = byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '\'';
    escaped += printable ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02x}", byte);
  }
  return escaped;
}

// Reads the first frame's header, or what there is until the other end hangs up or the time is
// over. Returns 0, an errno, or ETIMEDOUT.
int ReadFirstFrameHeader(const std::filesystem::path& path, std::string& header) {
  const FileDescriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (const int error = Connect(connection.get(), path); error != 0) return error;
  if (send(connection.get(), kPreface.data(), kPreface.size(), MSG_NOSIGNAL) < 0) return errno;
  const auto end = steady_clock::now() + kHandshake;
  while (header.size() < kFrameHeaderBytes) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now()).count();
    pollfd readable{connection.get(), POLLIN, 0};
    if (left <= 0 || poll(&readable, 1, static_cast<int>(left)) == 0) return ETIMEDOUT;
    char buffer[kFrameHeaderBytes];
    const ssize_t size =
        recv(connection.get(), static_cast<char*>(buffer), kFrameHeaderBytes - header.size(), 0);
    if (size < 0) return errno;
    if (size == 0) return 0;
    header.append(static_cast<const char*>(buffer), static_cast<std::size_t>(size));
  }
  return 0;
}

std::optional<std::string> DiagnoseProtocol(const std::string& path) {
  std::string header;
  const int error = ReadFirstFrameHeader(path, header);
  if (error == ETIMEDOUT || error == EAGAIN) {
    return fmt::format(
        "what listens on {} did not speak within {:g} s; see whether it is a gRPC server, and "
        "whether it hangs",
        path, std::chrono::duration<double>(kHandshake).count());
  }
  if (error != 0) {
    return fmt::format("what listens on {} hung up: {}; see whether it is a gRPC server", path,
                       SystemMessage(error));
  }
  if (header.size() == kFrameHeaderBytes && header[kTypeOffset] == kSettings) return std::nullopt;
  return fmt::format(
      "what listens on {} does not speak HTTP/2: it began with '{}'; give the path of a gRPC "
      "server "
      "without TLS",
      path, Escaped(header));
}

}  // namespace

std::optional<std::string> Diagnose(const SocketAddress& address) {
  const std::string path = address.path().string();
  switch (ProbePath(address)) {
    case PathState::kAbsent: {
      const std::filesystem::path folder = address.path().parent_path();
      if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
        return fmt::format("no socket at {}: there is no folder {}; create it or mount it here",
                           path, folder.string());
      }
      return fmt::format("no socket at {}: start its server, or mount the folder that it serves in",
                         path);
    }
    case PathState::kStale:
      return fmt::format(
          "nobody listens on {}: its server is gone; start it again and it replaces the file",
          path);
    case PathState::kForbidden:
      return fmt::format(
          "no permission to connect to {}: {}; connecting takes write permission: run in that "
          "group, or serve with another --group or --mode",
          path, DescribePermissions(path));
    case PathState::kNotASocket:
      return fmt::format("{} is not a socket; give the path that the server was started with",
                         path);
    case PathState::kLive:
      return DiagnoseProtocol(path);
  }
  return std::nullopt;
}

std::optional<std::string> DiagnoseWhatWaitingCannotCure(const SocketAddress& address) {
  switch (ProbePath(address)) {
    case PathState::kNotASocket:
    case PathState::kForbidden:
      return Diagnose(address);
    default:
      return std::nullopt;
  }
}

Error Explain(const grpc::Status& status, const SocketAddress& address) {
  const std::string details =
      status.error_message().empty() ? "no details" : status.error_message();
  const bool late = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (late || status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    if (const auto reason = Diagnose(address)) return Error(*reason);
  }
  if (late) {
    return Error(fmt::format(
        "no answer from {} before the deadline: {}; give it more time, or see what keeps it",
        address.target(), details));
  }
  return Error(fmt::format("{} answered {}: {}", address.target(), StatusName(status.error_code()),
                           details));
}

}  // namespace samehost
