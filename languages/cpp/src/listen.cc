#include "samehost/listen.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <thread>
#include <utility>

#include "connections.h"
#include "file_descriptor.h"
#include "library.h"
#include "messages.h"
#include "socket_file.h"

namespace samehost {
namespace {

using std::chrono::milliseconds;

// Shutdown of C-core refuses calls that are already on their way: the calls that arrive between its
// first and its last GOAWAY. So connections have a maximum age, at which a client moves to a new
// connection without losing a call. A server that stops removes its path and then serves for up to
// this many ages, until every client has moved. C-core varies the age by 10 % (grpc/grpc max_age
// filter). With 1.3 ages of 1 s, 0 of 41,291 calls failed while servers were replaced. With an
// immediate Shutdown, 101 of 42,450 failed.
constexpr double kDrainAges = 1.3;

// The range of an age in gRPC, which is an int of milliseconds.
constexpr milliseconds kMinAge{1};
constexpr milliseconds kMaxAge{std::numeric_limits<int>::max()};

// A longer grace would overflow the clock.
constexpr milliseconds kMaxGrace = std::chrono::years(1);

// The time beyond the grace that a stop may take to move the clients, for any age.
constexpr milliseconds kMoveTime{1200};

// Binds and serves. Returns null if gRPC cannot bind the socket.
std::unique_ptr<grpc::Server> Start(grpc::ServerBuilder& builder, const std::string& bound,
                                    milliseconds max_connection_age) {
  internal::KeepLibrary();
  // Not the public path, because C-core removes any socket at the path that it binds, even a live
  // one. When it stops, it removes the path again, even if another server has bound it since
  // (grpc/grpc 17122).
  builder.AddListeningPort("unix:" + bound, grpc::InsecureServerCredentials());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             static_cast<int>(max_connection_age.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, internal::kBandwidthProbe);
  // The window keeps the default of HTTP/2. With a larger window, requests queue up in front of the
  // headers of other calls, and those calls are refused while their connection is renewed
  // (PROTOCOL.md, "Stopping").
  // C-core 1.85 delays the error for a message that is too long by up to a second. By then the
  // connection may have reached its age, and the call fails with UNAVAILABLE. 1.51 has no such
  // delay.
  builder.AddChannelArgument("grpc.http.tarpit", 0);
  return builder.BuildAndStart();
}

ListenOptions WithDefaults(ListenOptions options) {
  if (options.owner.empty()) options.owner = program_invocation_short_name;
  options.max_connection_age = std::clamp(options.max_connection_age, kMinAge, kMaxAge);
  return options;
}

}  // namespace

class Server::Impl {
 public:
  Impl(const SocketAddress& address, grpc::ServerBuilder& builder, ListenOptions options)
      : options_(WithDefaults(std::move(options))),
        file_(address, options_),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_.valid()) {
      const int error = errno;
      throw internal::CannotListen(address.path(), internal::Reason(error),
                                   internal::kRaiseFileLimit, error);
    }
    server_ = Start(builder, file_.private_path().string(), options_.max_connection_age);
    if (server_ == nullptr) {
      throw internal::CannotBind(address.path(), "gRPC reports the reason only in its log");
    }
    // BuildAndStart binds and starts in one step, so Publish sets the mode after the server has
    // started. Until then, nobody else can enter the private folder.
    file_.Publish();
    if (options_.allow_takeover || options_.take_over || options_.on_removed) {
      watcher_ = std::jthread([this](const std::stop_token& stopping) { Watch(stopping); });
    }
  }

  ~Impl() { Stop(milliseconds(0)); }

  void Stop(milliseconds grace) {
    if (server_ == nullptr) return;
    watcher_ = std::jthread();
    const milliseconds calls_end = std::min(grace, kMaxGrace) + kMoveTime;
    const auto calls_end_at = std::chrono::system_clock::now() + calls_end;
    file_.Withdraw();
    const auto moved =
        std::chrono::duration_cast<milliseconds>(kDrainAges * options_.max_connection_age);
    internal::WaitForNoClient(file_.private_path(), std::min(moved, calls_end));
    server_->Shutdown(calls_end_at);
    server_.reset();
  }

 private:
  // Answers successors and checks that the socket is still at the path. One thread does both, so
  // that a check never interrupts a takeover.
  void Watch(const std::stop_token& stopping) {
    const std::stop_callback wake(stopping, [this] { eventfd_write(wake_.get(), 1); });
    for (bool is_lost = false; !stopping.stop_requested();) {
      std::array<pollfd, 2> awaited{
          {{wake_.get(), POLLIN, 0}, {file_.successor_descriptor(), POLLIN, 0}}};
      poll(awaited.data(), awaited.size(), static_cast<int>(file_.poll_time().count()));
      if (awaited[0].revents != 0) return;
      if (file_.AnswerSuccessor(awaited[1].revents != 0)) {
        if (options_.on_taken_over) options_.on_taken_over();
        return;
      }
      if (is_lost || !file_.IsLost()) continue;
      is_lost = true;
      if (options_.on_removed) options_.on_removed();
    }
  }

  const ListenOptions options_;
  internal::SocketFile file_;  // used by one thread at a time
  const internal::FileDescriptor wake_;
  std::unique_ptr<grpc::Server> server_;
  std::jthread watcher_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

void Server::Stop(milliseconds grace) { impl_->Stop(grace); }

Server Listen(const SocketAddress& address, grpc::ServerBuilder& builder, ListenOptions options) {
  return Server(std::make_unique<Server::Impl>(address, builder, std::move(options)));
}

}  // namespace samehost
