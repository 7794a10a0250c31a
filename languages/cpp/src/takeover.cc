#include "takeover.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <thread>

#include "json.h"
#include "samehost/error.h"
#include "samehost/socket_address.h"
#include "socket_probe.h"
#include "text.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a server may take to release its lock, which takes it less than a millisecond.
constexpr std::chrono::seconds kAnswerTime{5};

// How long a successor may be silent without the lock, for which it tries for 2 s.
constexpr std::chrono::seconds kSilence{5};

// How long to wait for a descriptor for a successor.
constexpr milliseconds kDescriptorPace{50};

// How often to dial a server whose backlog is full.
constexpr milliseconds kDialPace{10};

constexpr std::size_t kMaxLineBytes = 4096;

constexpr char kReleased[] = "released";
constexpr char kPublished[] = "published";

void Say(int connection, const char* event) {
  const std::string line = "{\"event\":\"" + std::string(event) + "\"}\n";
  // Who does not hear it has gone, which the next read says; that must not be a SIGPIPE.
  send(connection, line.data(), line.size(), MSG_NOSIGNAL);
}

bool Says(const std::string& line, const char* event) {
  const auto message = ParseObject(line);
  if (!message || message->fields_size() != 1) return false;
  const auto said = message->fields().find("event");
  return said != message->fields().end() && said->second.string_value() == event;
}

// Reads once. False, and errno or 0, where the line will not get any longer: it is complete, or too
// long, or the connection has ended.
bool ReadMore(int connection, std::string& line) {
  std::array<char, kMaxLineBytes> text{};
  errno = 0;
  const ssize_t size = recv(connection, text.data(), text.size(), 0);
  if (size <= 0) return false;
  line.append(text.data(), static_cast<std::size_t>(size));
  return line.back() != '\n' && line.size() < kMaxLineBytes;
}

// Reads a line, or what there is of it until the connection ends or the time is over. Returns 0 or
// an errno.
int ReadLine(int connection, steady_clock::time_point end, std::string& line) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
    pollfd readable{connection, POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&readable, 1, static_cast<int>(left.count())) : 0;
    if (ready == 0) return ETIMEDOUT;
    // Not where a signal has ended the wait.
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
    throw CancelledError("listening on " + path.string() + " was cancelled; start it again");
  }
}

Predecessor::Predecessor(const Folder& folder, const std::filesystem::path& path,
                         const std::stop_token& cancel)
    : connection_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  const std::string failure = path.string() + " can't be taken over: ";
  const auto control = ControlPath(path);
  if (!control) {
    throw InUseError(failure + "its name leaves no room for .takeover; stop its server");
  }
  const auto unanswered = [&](int error) {
    return SystemError<InUseError>(failure + "nobody answers at " + control->string(), error,
                                   "stop its server");
  };
  if (!connection_.valid()) throw unanswered(errno);
  // Ends a wait for it.
  const std::stop_callback hang_up(cancel, [this] { shutdown(connection_.get(), SHUT_RDWR); });
  const auto end = steady_clock::now() + kAnswerTime;
  int error = 0;
  while ((error = Connect(connection_.get(), folder / control->filename())) == EAGAIN &&
         steady_clock::now() < end && !cancel.stop_requested()) {
    std::this_thread::sleep_for(kDialPace);
  }
  ThrowIfCancelled(cancel, path);
  if (error != 0) throw unanswered(error == EAGAIN ? ETIMEDOUT : error);
  std::string line;
  error = ReadLine(connection_.get(), end, line);
  ThrowIfCancelled(cancel, path);
  // A server that closes its listener resets the connections that wait there.
  if (error != 0 && error != ECONNRESET) throw unanswered(error);
  if (!Says(line, kReleased)) {
    throw InUseError(failure + "its server goes, or another takes over; try again");
  }
}

void Predecessor::TellPublished() const { Say(connection_.get(), kPublished); }

Successors::Successors(const std::filesystem::path& bound, const std::filesystem::path& shown)
    : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  // For its own user alone: whoever may dial it can make the server go. It listens before it has
  // its public name, so that a successor never finds it deaf.
  if (!listener_.valid() || Bind(listener_.get(), bound) != 0 ||
      chmod(bound.c_str(), S_IRUSR | S_IWUSR) != 0 || listen(listener_.get(), SOMAXCONN) != 0) {
    throw SystemError("cannot listen for a successor at " + shown.string(), errno,
                      "see whether its disk is full");
  }
}

Successors::Said Successors::Hear() {
  if (!successor_) return Accept();
  if (ReadMore(successor_->get(), line_)) return Said::kNothing;
  successor_.reset();
  return Says(line_, kPublished) ? Said::kPublished : Said::kGoodbye;
}

void Successors::SayReleased() const { Say(successor_->get(), kReleased); }

bool Successors::IsSilent() {
  if (steady_clock::now() < silent_from_) return false;
  silent_from_ = steady_clock::now() + kSilence;
  return true;
}

Successors::Said Successors::Accept() {
  const int connection = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0) {
    successor_.emplace(connection);
    line_.clear();
    silent_from_ = steady_clock::now() + kSilence;
    return Said::kHello;
  }
  // Whoever waits in the backlog stays there: without a pause, a poll that finds it again and again
  // would be all that this process does until a descriptor is left.
  std::this_thread::sleep_for(kDescriptorPace);
  return Said::kNothing;
}

}  // namespace samehost::internal
