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
#include "socket_file.h"
#include "text.h"

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

// What gRPC takes for an age: an int of milliseconds.
constexpr milliseconds kLeastAge{1};
constexpr milliseconds kMostAge{std::numeric_limits<int>::max()};

// The longest grace: a longer one is as good as this, and would overflow the clock.
constexpr milliseconds kMostGrace = std::chrono::years(1);

// What a stop may take beyond the grace to move the clients, however long the age is.
constexpr milliseconds kMoveTime{1200};

// Binds and serves; null if the system refuses the socket.
std::unique_ptr<grpc::Server> Start(grpc::ServerBuilder& builder, const std::string& bound,
                                    milliseconds max_connection_age) {
  internal::KeepLibrary();
  // Not the public path: C-core removes whatever socket it finds where it binds, a live one too,
  // and when it stops it removes the name that it bound, whoever's it is by then (grpc/grpc 17122).
  builder.AddListeningPort("unix:" + bound, grpc::InsecureServerCredentials());
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             static_cast<int>(max_connection_age.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, internal::kBandwidthProbe);
  // The window stays that of HTTP/2: with a larger one requests queue up in front of the headers of
  // other calls, which are refused while their connection is renewed (PROTOCOL.md, "Stopping").
  // C-core 1.85 holds the refusal of a message that is too long back for up to a second. By then
  // the connection may have been closed for its age, and the call is UNAVAILABLE. 1.51 has no such
  // delay.
  builder.AddChannelArgument("grpc.http.tarpit", 0);
  return builder.BuildAndStart();
}

ListenOptions WithDefaults(ListenOptions options) {
  if (options.owner.empty()) options.owner = program_invocation_short_name;
  options.max_connection_age = std::clamp(options.max_connection_age, kLeastAge, kMostAge);
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
      throw internal::SystemError("cannot listen on " + address.path().string(), errno,
                                  "let this process open more files");
    }
    server_ = Start(builder, file_.private_path().string(), options_.max_connection_age);
    if (server_ == nullptr) {  // grpc says no more than that it failed
      throw Error("the system refused a socket beside " + address.path().string() +
                  "; check that its folder is on a file system with sockets and has space");
    }
    // BuildAndStart binds and starts in one step, so the mode is set when the server serves
    // already; until then the folder's mode keeps everyone out.
    file_.Publish();
    if (options_.allow_takeover || options_.take_over || options_.on_removed) {
      watcher_ = std::jthread([this](const std::stop_token& stopping) { Watch(stopping); });
    }
  }

  ~Impl() { Stop(milliseconds(0)); }

  void Stop(milliseconds grace) {
    if (server_ == nullptr) return;
    watcher_ = std::jthread();
    const milliseconds calls_end = std::min(grace, kMostGrace) + kMoveTime;
    const auto calls_end_at = std::chrono::system_clock::now() + calls_end;
    file_.Withdraw();
    const auto moved =
        std::chrono::duration_cast<milliseconds>(kDrainAges * options_.max_connection_age);
    internal::AwaitNoClient(file_.private_path(), std::min(moved, calls_end));
    server_->Shutdown(calls_end_at);
    server_.reset();
  }

 private:
  // Answers successors, and looks whether the file is still there. One thread does it all, so that
  // a look never meets a takeover halfway.
  void Watch(const std::stop_token& stopping) {
    const std::stop_callback wake(stopping, [this] { eventfd_write(wake_.get(), 1); });
    for (bool is_lost = false; !stopping.stop_requested();) {
      std::array<pollfd, 2> awaited{
          {{wake_.get(), POLLIN, 0}, {file_.successor_descriptor(), POLLIN, 0}}};
      poll(awaited.data(), awaited.size(), static_cast<int>(file_.patience().count()));
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
