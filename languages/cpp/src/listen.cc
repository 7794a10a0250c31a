#include "listen.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "connections.h"
#include "error.h"
#include "file_descriptor.h"
#include "library.h"
#include "socket_file.h"
#include "transport.h"
#include "watchdog.h"

namespace samehost {
namespace {

using std::chrono::milliseconds;

// C-core's Shutdown refuses calls that were already on their way: what arrives between its first
// and its last GOAWAY. So connections have an age, at which a client is moved to a new one without
// losing a call, and a server whose path is gone serves on until every client has been moved, for
// so many ages at most. C-core spreads the age by 10 % (grpc/grpc max_age filter); with 1.3 ages of
// 1 s, 0 of 41,291 calls failed while servers were replaced, and with an immediate Shutdown 101 of
// 42,450.
constexpr double kDrainAges = 1.3;

// What a stop may take beyond the grace: first to move the clients, then for gRPC to end when all
// calls have been cut off. A handler may never return, and gRPC waits for it.
constexpr milliseconds kMoveTime{1200};
constexpr milliseconds kEndTime{600};

class StopSignals {
 public:
  // Blocks the signals, so that none is lost between here and Take.
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    descriptor_.emplace(signalfd(-1, &signals_, SFD_CLOEXEC));
    if (!descriptor_->valid()) {
      throw Error(fmt::format("cannot wait for signals: {}; let this process open more files",
                              SystemMessage(errno)));
    }
  }

  // What to poll for a signal.
  int descriptor() const { return descriptor_->get(); }

  // Takes the signal, which would otherwise count as the next.
  void Take() const {
    int signal = 0;
    sigwait(&signals_, &signal);
  }

  // From now on the second signal ends the process with 0; the first one may have been taken.
  void EndAtTheSecond(bool first_was_taken) const {
    static volatile sig_atomic_t had_first = 0;
    had_first = first_was_taken ? 1 : 0;
    struct sigaction end {};
    end.sa_handler = [](int) {
      if (had_first != 0) _exit(EXIT_SUCCESS);
      had_first = 1;
    };
    end.sa_mask = signals_;
    sigaction(SIGINT, &end, nullptr);
    sigaction(SIGTERM, &end, nullptr);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  }

 private:
  sigset_t signals_{};
  std::optional<FileDescriptor> descriptor_;
};

// Binds and serves; null if the system refuses the socket.
std::unique_ptr<grpc::Server> Start(const SocketFile& file, milliseconds max_connection_age,
                                    const std::vector<grpc::Service*>& services) {
  KeepLibrary();
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  // Not the public path: C-core removes whatever socket it finds where it binds, a live one too,
  // and when it stops it removes the name that it bound, whoever's it is by then (grpc/grpc 17122).
  builder.AddListeningPort("unix:" + file.private_path().string(),
                           grpc::InsecureServerCredentials());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             static_cast<int>(max_connection_age.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, kBandwidthProbe);
  // The window stays that of HTTP/2: with a larger one requests queue up in front of the headers of
  // other calls, which are refused while their connection is renewed (PROTOCOL.md, "Stopping").
  // C-core 1.85 holds the refusal of a message that is too long back for up to a second. By then
  // the connection may have been closed for its age, and the call is UNAVAILABLE. 1.51 has no such
  // delay.
  builder.AddChannelArgument("grpc.http.tarpit", 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  for (grpc::Service* service : services) builder.RegisterService(service);
  return builder.BuildAndStart();
}

// Why a server stops.
enum class Cause { kSignal, kTakeover, kRemoval };

Error RemovalOf(const std::filesystem::path& path) {
  return Error(fmt::format(
      "someone has removed {}, or put another in its place: no new client finds this server; start "
      "it again, and leave the file alone",
      path.string()));
}

// Waits for a signal or a takeover, and looks whether the file is still there. One thread does it
// all, so that neither a look nor a signal meets a takeover halfway.
Cause AwaitEnd(const StopSignals& signals, SocketFile& file, const std::filesystem::path& path,
               OnRemoved on_removed) {
  bool is_lost = false;
  while (true) {
    std::array<pollfd, 2> awaited{
        {{signals.descriptor(), POLLIN, 0}, {file.successor_descriptor(), POLLIN, 0}}};
    poll(awaited.data(), awaited.size(), static_cast<int>(file.patience().count()));
    const auto [stop, successor] = awaited;
    if (stop.revents != 0) {
      signals.Take();
      return Cause::kSignal;
    }
    if (file.AnswerSuccessor(successor.revents != 0)) return Cause::kTakeover;
    if (is_lost || !file.IsLost()) continue;
    if (on_removed == OnRemoved::kStop) return Cause::kRemoval;
    LogError(RemovalOf(path).what());
    is_lost = true;
  }
}

}  // namespace

void Listen(const SocketAddress& address, const ListenOptions& options,
            const std::vector<grpc::Service*>& services, HealthService& health,
            const std::function<void()>& ready) {
  const StopSignals signals;
  SocketFile file(address, fmt::format("{} {}", kImplementation, grpc::Version()),
                  {.take_over = options.take_over, .trust_folder = options.trust_folder});
  std::optional<Watchdog> watchdog;  // outlives the server, whose end it watches
  const std::unique_ptr<grpc::Server> server = Start(file, options.max_connection_age, services);
  if (server == nullptr) {  // grpc says no more than that it failed
    throw Error(
        fmt::format("the system refused a socket beside {}; check that its folder is on a file "
                    "system with sockets and has space",
                    address.path().string()));
  }
  // BuildAndStart binds and starts in one step, so the mode is set when the server serves already;
  // until then the folder's mode keeps everyone out.
  file.Publish(options.mode, options.group);
  ready();

  const Cause cause = AwaitEnd(signals, file, address.path(), options.on_removed);
  const milliseconds calls_end = options.grace + kMoveTime;
  const auto calls_end_at = std::chrono::system_clock::now() + calls_end;
  watchdog.emplace(calls_end + kEndTime, [cause, path = address.path()] {
    if (cause == Cause::kRemoval) LogError(RemovalOf(path).what());
    _exit(cause == Cause::kRemoval ? EXIT_FAILURE : EXIT_SUCCESS);
  });
  health.End();
  file.Withdraw();
  signals.EndAtTheSecond(cause == Cause::kSignal);
  const auto moved =
      std::chrono::duration_cast<milliseconds>(kDrainAges * options.max_connection_age);
  AwaitNoClient(file.private_path(), std::min(moved, calls_end));
  server->Shutdown(calls_end_at);
  if (cause == Cause::kRemoval) throw RemovalOf(address.path());
}

}  // namespace samehost
