#include "samehost/dial.h"

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <string>
#include <type_traits>

#include "library.h"
#include "messages.h"
#include "samehost/diagnose.h"

namespace samehost {
namespace {

// The default of gRPC for received messages. Dial sets it for sent messages, too.
constexpr int kMaxMessageBytes = 4 * 1024 * 1024;

bool Has(const grpc::ChannelArguments& arguments, const std::string& key) {
  const grpc_channel_args given = arguments.c_channel_args();
  return std::any_of(given.args, given.args + given.num_args,
                     [&](const grpc_arg& each) { return each.key == key; });
}

// Sets each argument that the caller has not set. gRPC does not define which one of two arguments
// with the same key it uses.
void SetDefaults(grpc::ChannelArguments& arguments) {
  const auto set = [&](const char* key, auto value) {
    if (Has(arguments, key)) return;
    if constexpr (std::is_same_v<decltype(value), int>) {
      arguments.SetInt(key, value);
    } else {
      arguments.SetString(key, value);
    }
  };
  // C-core 1.57 and newer send the percent-encoded path as :authority. Kestrel and h2, the library
  // that tonic uses, refuse it (grpc/grpc 34305, hyperium/h2 442).
  set(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  // Connecting to a socket costs microseconds, so a client can try often. With the default backoff
  // of 1 s to 120 s, a client connected after 2.84 s to a server that started after 1.5 s. With
  // this backoff, it connected after 1.59 s.
  set(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  set(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  // The time that a server has to answer a new connection; the default is 20 s.
  set(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  // The bytes of a call that are kept to send it again if the server reports that it did not start
  // the call (gRFC A6). With the default of 256 KiB, calls of 1 MiB failed while servers were
  // replaced.
  set(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, 8 * 1024 * 1024);
  set(GRPC_ARG_HTTP2_BDP_PROBE, internal::kBandwidthProbe);
  // The window for received data. C-core sends a window update when half of it is used, and that
  // write fails if the server has just closed the connection. With twice the longest message, a
  // client that waits for a response sends no update.
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 2 * kMaxMessageBytes);
  set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, kMaxMessageBytes);
  set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, kMaxMessageBytes);
}

// Does what WaitForConnected does, but asks for the state every 100 ms. C-core may connect and lose
// the connection while it returns the state. Then the channel is idle, as it was, and no change is
// reported.
bool WaitForReady(grpc::Channel& channel, std::chrono::system_clock::time_point deadline) {
  for (;;) {
    const auto state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return true;
    const auto now = std::chrono::system_clock::now();
    if (now >= deadline) return false;
    channel.WaitForStateChange(state, std::min(deadline, now + std::chrono::milliseconds(100)));
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> Dial(const SocketAddress& address,
                                    grpc::ChannelArguments arguments) {
  internal::KeepLibrary();
  SetDefaults(arguments);
  return grpc::CreateCustomChannel(address.target(), grpc::InsecureChannelCredentials(), arguments);
}

void WaitForServer(grpc::Channel& channel, const SocketAddress& address,
                   std::chrono::milliseconds timeout) {
  try {
    Probe(address);
  } catch (const NoServerError&) {
    // A server may still start.
  }
  if (WaitForReady(channel, std::chrono::system_clock::now() + timeout)) return;
  Diagnose(address);
  std::ostringstream seconds;
  seconds << std::chrono::duration<double>(timeout).count();
  throw internal::CannotConnect(
      address.path(), "the server answers, but was not ready within " + seconds.str() + " s",
      "wait longer or read its log", ETIMEDOUT);
}

}  // namespace samehost
