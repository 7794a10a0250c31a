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

// The time beyond the grace that a stop may take. The library cancels calls within 1.2 s of it, and
// gRPC has the rest to shut down. gRPC waits for a handler that never returns, so the process must
// exit itself.
constexpr std::chrono::milliseconds kBeyondGrace{1800};

// Handles SIGINT and SIGTERM in a separate thread. The first signal calls a function. The second
// signal ends the process with exit code 0.
class StopSignals {
 public:
  explicit StopSignals(std::function<void()> on_first) {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this, on_first = std::move(on_first)] {
      if (Wait()) on_first();
      if (Wait()) _exit(EXIT_SUCCESS);
    });
  }

  ~StopSignals() {
    stopped_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }

 private:
  // Waits for a signal. Returns false if the destructor sent it.
  bool Wait() const {
    int signal = 0;
    if (!stopped_) sigwait(&signals_, &signal);
    return !stopped_;
  }

  sigset_t signals_{};
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

// Why a server stops.
enum class Cause { kSignal, kTakeover, kRemoval };

Error SocketRemoved(const SocketAddress& address) {
  return Error(fmt::format(
      "the socket {} was removed or replaced, and new clients cannot connect; start the "
      "server again",
      address.path().string()));
}

// Calls Listen and adds the option of this program to the error of an unsafe folder.
Server ListenWithRemedy(const SocketAddress& address, grpc::ServerBuilder& builder,
                        ListenOptions options) {
  try {
    return Listen(address, builder, std::move(options));
  } catch (const UnsafeFolderError& error) {
    throw Error(fmt::format("{}, or use --trust-folder", error.what()));
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
                                           : LogError(SocketRemoved(address).what());
  };
  try {
    Server server = ListenWithRemedy(address, builder, listen);
    ready();

    const Cause cause = end.get_future().get();
    const Watchdog watchdog(options.grace + kBeyondGrace, [&] {
      if (cause == Cause::kRemoval) LogError(SocketRemoved(address).what());
      _exit(cause == Cause::kRemoval ? EXIT_FAILURE : EXIT_SUCCESS);
    });
    health.End();
    server.Stop(options.grace);
    if (cause == Cause::kRemoval) throw SocketRemoved(address);
  } catch (const CancelledError&) {
    // A signal arrived before the server was ready.
  }
}

}  // namespace samehost::interop
