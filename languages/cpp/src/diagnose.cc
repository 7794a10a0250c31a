#include "samehost/diagnose.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <string_view>

#include "file_descriptor.h"
#include "socket_probe.h"
#include "text.h"

namespace samehost {
namespace {

using internal::DescribePermissions;
using internal::PathState;
using internal::SystemError;
using std::chrono::steady_clock;

// How long a server may take to send its first frame; on one machine it takes less than a
// millisecond.
constexpr std::chrono::seconds kHandshake{1};

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
    escaped += printable ? std::string(1, static_cast<char>(byte)) : "\\x" + internal::Hex(byte, 2);
  }
  return escaped;
}

// Reads the first frame's header, or what there is until the other end hangs up or the time is
// over. Returns 0, an errno, or ETIMEDOUT.
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
    if (ready < 0) continue;  // a signal has ended the wait
    char buffer[kFrameHeaderBytes];
    const ssize_t size =
        recv(connection.get(), static_cast<char*>(buffer), kFrameHeaderBytes - header.size(), 0);
    if (size < 0) return errno;
    if (size == 0) return 0;
    header.append(static_cast<const char*>(buffer), static_cast<std::size_t>(size));
  }
  return 0;
}

void DiagnoseProtocol(const std::string& path) {
  const std::string listener = "what listens on " + path;
  std::string header;
  const int error = ReadFirstFrameHeader(path, header);
  if (error == ETIMEDOUT || error == EAGAIN) {
    throw NotGrpcError(listener + " did not speak within " + std::to_string(kHandshake.count()) +
                       " s; see whether it is a gRPC server, and whether it hangs");
  }
  if (error != 0) {
    throw SystemError<NotGrpcError>(listener + " hung up", error,
                                    "see whether it is a gRPC server");
  }
  if (header.size() == kFrameHeaderBytes && header[kTypeOffset] == kSettings) return;
  throw NotGrpcError(listener + " does not speak HTTP/2: it began with '" + Escaped(header) +
                     "'; give the path of a gRPC server without TLS");
}

}  // namespace

void Diagnose(const SocketAddress& address) {
  Probe(address);
  DiagnoseProtocol(address.path().string());
}

void Probe(const SocketAddress& address) {
  const std::string path = address.path().string();
  switch (internal::ProbePath(address)) {
    case PathState::kAbsent: {
      const std::filesystem::path folder = address.path().parent_path();
      if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
        throw NoServerError("no socket at " + path + ": there is no folder " + folder.string() +
                            "; create it or mount it here");
      }
      throw NoServerError("no socket at " + path +
                          ": start its server, or mount the folder that it serves in");
    }
    case PathState::kStale:
      throw NoServerError("nobody listens on " + path +
                          ": its server is gone; start it again and it replaces the file");
    case PathState::kForbidden:
      throw Error("no permission to connect to " + path + ": " + DescribePermissions(path) +
                      "; connecting takes write permission: run in that group, or give the socket "
                      "another group or mode",
                  std::make_error_code(std::errc::permission_denied));
    case PathState::kNotASocket:
      throw NotSocketError(path +
                           " is not a socket; give the path that the server was started with");
    case PathState::kLive:
      return;
  }
}

}  // namespace samehost
