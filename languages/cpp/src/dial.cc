#include "samehost/dial.h"

#include <sstream>
#include <system_error>

#include "library.h"
#include "samehost/diagnose.h"
#include "transport.h"

namespace samehost {
grpc::ChannelArguments DefaultChannelArguments() {
  grpc::ChannelArguments arguments;
  // C-core 1.57 and newer send the path, percent-encoded, as :authority, which Kestrel and Rust's
  // h2 refuse (grpc/grpc 34305, hyperium/h2 442).
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  // Dialling a socket costs microseconds, so it is done often: with gRPC's own backoff of 1 s to
  // 120 s, a server that was up after 1.5 s was reached after 2.84 s; with this one, after 1.59 s.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  // How long the other end may take to answer a new connection; 20 s is the default. C-core waits
  // that long, too, if the connection breaks at the wrong moment, as about one in 1,000 did.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  // How much of a call is kept to send it again when the server says that it never began it (gRFC
  // A6). With 256 KiB, the default, calls of 1 MiB failed while servers were replaced.
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, 8 * 1024 * 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, internal::kBandwidthProbe);
  // How much may arrive before its reader has to say that there is room: C-core speaks up when half
  // of it is used, and that write fails too where the server has just closed the connection. Twice
  // the longest message, so that a client which waits for an answer has nothing to say.
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 2 * internal::kMaxMessageBytes);
  arguments.SetMaxReceiveMessageSize(internal::kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(internal::kMaxMessageBytes);
  return arguments;
}

std::shared_ptr<grpc::Channel> Dial(const SocketAddress& address,
                                    const grpc::ChannelArguments& arguments) {
  internal::KeepLibrary();
  return grpc::CreateCustomChannel(address.target(), grpc::InsecureChannelCredentials(), arguments);
}

void WaitForServer(grpc::Channel& channel, const SocketAddress& address,
                   std::chrono::milliseconds timeout) {
  try {
    Probe(address);
  } catch (const NoServerError&) {
    // One that starts later cures it.
  }
  if (channel.WaitForConnected(std::chrono::system_clock::now() + timeout)) return;
  Diagnose(address);
  std::ostringstream seconds;
  seconds << std::chrono::duration<double>(timeout).count();
  throw Error("a server answers at " + address.path().string() + " and was not ready within " +
                  seconds.str() + " s; wait longer, or see its log",
              std::make_error_code(std::errc::timed_out));
}

}  // namespace samehost
