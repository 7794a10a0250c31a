#include "serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "log.h"
#include "watchdog.h"

namespace samehost::interop {
namespace {

// What a stop may take beyond the grace: the library cancels calls within 1.2 s of it, and gRPC has
// the rest to end. A handler may never return, and gRPC waits for it.
constexpr std::chrono::milliseconds kBeyondGrace{1800};

// Takes SIGINT and SIGTERM in a thread of its own. The first one calls a function, the second one
// ends the process with 0.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> on_first) {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this, on_first = std::move(on_first)] {
      if (Take()) on_first();
      if (Take()) _exit(EXIT_SUCCESS);
    });
  }

  ~StopSignals() {
    over_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }

 private:
  // Waits for a signal; false where it is the destructor's.
  bool Take() const {
    int signal = 0;
    if (!over_) sigwait(&signals_, &signal);
    return !over_;
  }

  sigset_t signals_{};
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

// Why a server stops.
enum class Cause { kSignal, kTakeover, kRemoval };

Error RemovalOf(const SocketAddress& address) {
  return Error(fmt::format(
      "someone has removed {}, or put another in its place: no new client finds this server; start "
      "it again, and leave the file alone",
      address.path().string()));
}

Server ListenOrSayHow(const SocketAddress& address, grpc::ServerBuilder& builder,
                      ListenOptions options) {
  try {
    return Listen(address, builder, std::move(options));
  } catch (const UnsafeFolderError& error) {
    throw Error(fmt::format(
        "{}, or serve with --trust-folder if you trust everyone who can reach it", error.what()));
  }
}

}  // namespace

void Serve(const SocketAddress& address, ServeOptions options, grpc::ServerBuilder& builder,
           HealthService& health, const std::function<void()>& ready) {
  std::stop_source cancel;
  std::promise<Cause> end;
  std::once_flag ended;
  const auto stop = [&](Cause cause) { std::call_once(ended, [&] { end.set_value(cause); }); };
  const StopSignals signals([&] {
    cancel.request_stop();
    stop(Cause::kSignal);
  });

  ListenOptions& listen = options.listen;
  listen.owner = fmt::format("{} {}", kImplementation, grpc::Version());
  listen.allow_takeover = true;
  listen.cancel = cancel.get_token();
  listen.on_warning = LogError;
  listen.on_taken_over = [&] { stop(Cause::kTakeover); };
  listen.on_removed = [&] {
    options.on_removed == OnRemoved::kStop ? stop(Cause::kRemoval)
                                           : LogError(RemovalOf(address).what());
  };
  try {
    Server server = ListenOrSayHow(address, builder, listen);
    ready();

    const Cause cause = end.get_future().get();
    const Watchdog watchdog(options.grace + kBeyondGrace, [&] {
      if (cause == Cause::kRemoval) LogError(RemovalOf(address).what());
      _exit(cause == Cause::kRemoval ? EXIT_FAILURE : EXIT_SUCCESS);
    });
    health.End();
    server.Stop(options.grace);
    if (cause == Cause::kRemoval) throw RemovalOf(address);
  } catch (const CancelledError&) {
    // A signal came before it served.
  }
}

}  // namespace samehost::interop
