#include "takeover.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>

#include "error.h"
#include "socket_address.h"
#include "socket_probe.h"

namespace samehost {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a server may take to release its lock, which takes it less than a millisecond.
constexpr std::chrono::seconds kAnswerTime{5};

// How long a successor may be silent without the lock, for which it tries for 2 s.
constexpr std::chrono::seconds kSilence{5};

// How long to wait for a descriptor for a successor.
constexpr milliseconds kPace{50};

constexpr std::size_t kMaxLineBytes = 4096;

constexpr char kReleased[] = "released";
constexpr char kPublished[] = "published";

void Say(int connection, const char* event) {
  const std::string line = nlohmann::json::object({{"event", event}}).dump() + "\n";
  // Who does not hear it has gone, which the next read says; that must not be a SIGPIPE.
  send(connection, line.data(), line.size(), MSG_NOSIGNAL);
}

bool Says(const std::string& line, const char* event) {
  return nlohmann::json::parse(line, nullptr, false) == nlohmann::json::object({{"event", event}});
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
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      return ETIMEDOUT;
    }
    if (!ReadMore(connection, line)) return errno;
  }
}

}  // namespace

std::optional<std::filesystem::path> ControlPath(const std::filesystem::path& path) {
  std::filesystem::path control = path.string() + ".takeover";
  if (control.string().size() > kMaxPathBytes) return std::nullopt;
  return control;
}

Predecessor::Predecessor(const Folder& folder, const std::filesystem::path& path)
    : connection_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto control = ControlPath(path);
  if (!control) {
    throw Error(fmt::format(
        "{} can't be taken over: its name leaves no room for .takeover; stop its server",
        path.string()));
  }
  const auto unanswered = [&](int error) {
    return Error(fmt::format("{} can't be taken over: nobody answers at {}: {}; stop its server",
                             path.string(), control->string(), SystemMessage(error)));
  };
  if (!connection_.valid()) throw unanswered(errno);
  const auto end = steady_clock::now() + kAnswerTime;
  // connect(2) waits that long for room in the backlog.
  constexpr timeval kConnectTime{.tv_sec = kAnswerTime.count(), .tv_usec = 0};
  setsockopt(connection_.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectTime, sizeof(kConnectTime));
  if (const int error = Connect(connection_.get(), folder / control->filename()); error != 0) {
    throw unanswered(error == EAGAIN ? ETIMEDOUT : error);
  }
  std::string line;
  // A server that closes its listener resets the connections that wait there.
  if (const int error = ReadLine(connection_.get(), end, line); error != 0 && error != ECONNRESET) {
    throw unanswered(error);
  }
  if (!Says(line, kReleased)) {
    throw Error(
        fmt::format("{} can't be taken over: its server goes, or another takes over; try again",
                    path.string()));
  }
}

void Predecessor::TellPublished() const { Say(connection_.get(), kPublished); }

Successors::Successors(const std::filesystem::path& bound, const std::filesystem::path& shown)
    : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  // For its own user alone: whoever may dial it can make the server go. It listens before it has
  // its public name, so that a successor never finds it deaf.
  if (!listener_.valid() || Bind(listener_.get(), bound) != 0 ||
      chmod(bound.c_str(), S_IRUSR | S_IWUSR) != 0 || listen(listener_.get(), SOMAXCONN) != 0) {
    throw Error(fmt::format("cannot listen for a successor at {}: {}; see whether its disk is full",
                            shown.string(), SystemMessage(errno)));
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
  std::this_thread::sleep_for(kPace);
  return Said::kNothing;
}

}  // namespace samehost
