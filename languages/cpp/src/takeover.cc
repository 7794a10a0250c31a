#include "takeover.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <thread>

#include "json.h"
#include "messages.h"
#include "samehost/error.h"
#include "samehost/socket_address.h"
#include "socket_probe.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A server has this long to release its lock. It needs less than a millisecond.
constexpr std::chrono::seconds kAnswerTime{5};

// A successor may be silent for this long while it does not hold the lock. It tries to lock for 2
// s.
constexpr std::chrono::seconds kSilence{5};

// The pause when the process has no free descriptor for a successor.
constexpr milliseconds kDescriptorInterval{50};

// The interval at which to connect to a server whose backlog is full.
constexpr milliseconds kConnectInterval{10};

constexpr std::size_t kMaxLineBytes = 4096;

constexpr char kReleased[] = "released";
constexpr char kPublished[] = "published";

void SendEvent(int connection, const char* event) {
  const std::string line = "{\"event\":\"" + std::string(event) + "\"}\n";
  // If the other end has closed the connection, the next read fails. No SIGPIPE may be raised.
  send(connection, line.data(), line.size(), MSG_NOSIGNAL);
}

bool IsEvent(const std::string& line, const char* event) {
  const auto message = ParseObject(line);
  if (!message || message->fields_size() != 1) return false;
  const auto found = message->fields().find("event");
  return found != message->fields().end() && found->second.string_value() == event;
}

// Reads once and returns whether the line may continue. If not, it is complete or too long, or the
// connection was closed, and errno has the error or 0.
bool ReadMore(int connection, std::string& line) {
  std::array<char, kMaxLineBytes> text{};
  errno = 0;
  const ssize_t size = recv(connection, text.data(), text.size(), 0);
  if (size <= 0) return false;
  line.append(text.data(), static_cast<std::size_t>(size));
  return line.back() != '\n' && line.size() < kMaxLineBytes;
}

// Reads a line, or less if the connection is closed or the time has passed. Returns 0 or an errno.
int ReadLine(int connection, steady_clock::time_point end, std::string& line) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
    pollfd readable{connection, POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&readable, 1, static_cast<int>(left.count())) : 0;
    if (ready == 0) return ETIMEDOUT;
    // A negative number means that a signal interrupted the wait.
    if (ready > 0 && !ReadMore(connection, line)) return errno;
  }
}

}  // namespace

std::optional<std::filesystem::path> ControlPath(const std::filesystem::path& path) {
  std::filesystem::path control = path.string() + ".takeover";
  if (control.string().size() > kMaxPathBytes) return std::nullopt;
  return control;
}

void ThrowIfCancelled(const std::stop_token& cancel, const std::filesystem::path& path) {
  if (cancel.stop_requested()) {
    throw CannotListen<CancelledError>(path, "the start was cancelled", "start the server again");
  }
}

Predecessor::Predecessor(const Folder& folder, const std::filesystem::path& path,
                         const std::stop_token& cancel)
    : connection_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  const std::string failure = "cannot take over " + path.string();
  const std::string remedy = "stop its server and start this one";
  const auto control = ControlPath(path);
  if (!control) {
    throw MakeError<InUseError>(failure, "its name leaves no room for .takeover", remedy);
  }
  const auto no_answer = [&](int error) {
    if (error == ENOENT || error == ECONNREFUSED) {
      return MakeError<InUseError>(
          failure,
          "no server listens on " + control->string() +
              ", so its server allows no takeover, or is starting or stopping",
          remedy, error);
    }
    return MakeError<InUseError>(
        failure, "its server does not answer on " + control->string() + ": " + Reason(error),
        "stop it, or kill it if it is blocked, and start this one", error);
  };
  if (!connection_.valid()) throw no_answer(errno);
  // A cancellation ends the wait for an answer.
  const std::stop_callback disconnect(cancel, [this] { shutdown(connection_.get(), SHUT_RDWR); });
  const auto end = steady_clock::now() + kAnswerTime;
  int error = 0;
  while ((error = Connect(connection_.get(), folder / control->filename())) == EAGAIN &&
         steady_clock::now() < end && !cancel.stop_requested()) {
    std::this_thread::sleep_for(kConnectInterval);
  }
  ThrowIfCancelled(cancel, path);
  if (error != 0) throw no_answer(error == EAGAIN ? ETIMEDOUT : error);
  std::string line;
  error = ReadLine(connection_.get(), end, line);
  ThrowIfCancelled(cancel, path);
  // A server that closes its listener resets the waiting connections.
  if (error != 0 && error != ECONNRESET) throw no_answer(error);
  if (!IsEvent(line, kReleased)) {
    throw MakeError<InUseError>(failure, "its server is stopping, or another server is taking over",
                                "try again");
  }
}

void Predecessor::SendPublished() const { SendEvent(connection_.get(), kPublished); }

Successors::Successors(const std::filesystem::path& bound, const std::filesystem::path& path)
    : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  // Only this user may connect, because a connection can stop the server. The socket listens before
  // it gets its public name, so that a successor can always connect.
  if (!listener_.valid() || Bind(listener_.get(), bound) != 0 ||
      chmod(bound.c_str(), S_IRUSR | S_IWUSR) != 0 || listen(listener_.get(), SOMAXCONN) != 0) {
    const int error = errno;
    throw CannotBind(path, Reason(error), error);
  }
}

Successors::Event Successors::Receive() {
  if (!successor_) return Accept();
  if (ReadMore(successor_->get(), line_)) return Event::kNone;
  successor_.reset();
  return IsEvent(line_, kPublished) ? Event::kPublished : Event::kDisconnected;
}

void Successors::SendReleased() const { SendEvent(successor_->get(), kReleased); }

bool Successors::IsSilent() {
  if (steady_clock::now() < silent_from_) return false;
  silent_from_ = steady_clock::now() + kSilence;
  return true;
}

Successors::Event Successors::Accept() {
  const int connection = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0) {
    successor_.emplace(connection);
    line_.clear();
    silent_from_ = steady_clock::now() + kSilence;
    return Event::kConnected;
  }
  // The successor stays in the backlog. Without a pause, the owner would poll in a busy loop until
  // a descriptor is free.
  std::this_thread::sleep_for(kDescriptorInterval);
  return Event::kNone;
}

}  // namespace samehost::internal
