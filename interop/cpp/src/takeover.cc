#include "takeover.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "error.h"
#include "socket_address.h"
#include "socket_probe.h"

namespace samehost {
namespace {

// How long a server may take to release its lock, which takes it less than a millisecond.
constexpr timeval kAnswerTime{.tv_sec = 5, .tv_usec = 0};

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

// What the system calls a time that is over is not what a person does.
std::string Reason(int error) { return error == EAGAIN ? "timed out" : SystemMessage(error); }

}  // namespace

std::optional<std::filesystem::path> ControlPath(const std::filesystem::path& path) {
  std::filesystem::path control = path.string() + ".takeover";
  if (control.string().size() > kMaxPathBytes) return std::nullopt;
  return control;
}

Predecessor::Predecessor(const std::filesystem::path& path)
    : connection_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto control = ControlPath(path);
  if (!control) {
    throw Error(fmt::format(
        "{} can't be taken over: its name leaves no room for .takeover; stop its server",
        path.string()));
  }
  const auto unanswered = [&](int error) {
    return Error(fmt::format("{} can't be taken over: nobody answers at {}: {}; stop its server",
                             path.string(), control->string(), Reason(error)));
  };
  if (!connection_.valid()) throw unanswered(errno);
  // For sending too: connect(2) waits that long for room in the backlog.
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(connection_.get(), SOL_SOCKET, option, &kAnswerTime, sizeof(kAnswerTime));
  }
  if (const int error = Connect(connection_.get(), *control); error != 0) throw unanswered(error);
  std::string line;
  while (ReadMore(connection_.get(), line)) {
  }
  // A server that closes its listener resets the connections that wait there.
  if (errno != 0 && errno != ECONNRESET) throw unanswered(errno);
  if (!Says(line, kReleased)) {
    throw Error(
        fmt::format("{} can't be taken over: its server goes, or another takes over; try again",
                    path.string()));
  }
}

void Predecessor::TellPublished() const { Say(connection_.get(), kPublished); }

Successors::Successors(const std::filesystem::path& path)
    : listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  // For its own user alone: whoever may dial it can make the server go. It listens before it has
  // its public name, so that a successor never finds it deaf.
  if (!listener_.valid() || Bind(listener_.get(), path) != 0 ||
      chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || listen(listener_.get(), SOMAXCONN) != 0) {
    throw Error(fmt::format("cannot listen for a successor at {}: {}; see whether its disk is full",
                            path.string(), SystemMessage(errno)));
  }
}

Successors::Said Successors::Hear() {
  if (!successor_) return Accept();
  if (ReadMore(successor_->get(), line_)) return Said::kNothing;
  successor_.reset();
  return Says(line_, kPublished) ? Said::kPublished : Said::kGoodbye;
}

void Successors::SayReleased() const { Say(successor_->get(), kReleased); }

Successors::Said Successors::Accept() {
  const int connection = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0) {
    successor_.emplace(connection);
    line_.clear();
    return Said::kHello;
  }
  // Whoever waits in the backlog stays there, and a poll that finds it again and again would be all
  // that this process does.
  return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? Said::kNothing
                                                                    : Said::kNoMore;
}

}  // namespace samehost
