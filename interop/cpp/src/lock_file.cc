#include "lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>

#include "error.h"
#include "host_name.h"
#include "socket_probe.h"

namespace samehost {

LockFile::LockFile(const std::filesystem::path& socket, const std::string& owner,
                   std::chrono::milliseconds patience)
    : socket_(socket),
      path_(socket.string() + ".lock"),
      // 0600: whoever may open the file may lock it, and clients must not be able to.
      file_(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (!file_.valid()) {
    const int error = errno;
    if (error == ENOENT) {
      throw Error(fmt::format("no folder {} for the socket {}; create it or mount it",
                              socket_.parent_path().string(), socket_.string()));
    }
    throw Error(fmt::format("cannot open the lock file {}: {}; {}; let this process write there",
                            path_, SystemMessage(error), DescribePermissions(path_)));
  }
  Take(patience);
  Write(owner);
}

// Takes both kinds of lock, because neither stops the other: flock(2), which most languages use,
// and a record lock, which Java's FileChannel.tryLock uses. The record lock is Linux's open file
// description lock: a POSIX one would be lost as soon as this process closed any other descriptor
// of the file (fcntl(2)).
//
// False where someone else holds one of them.
bool LockFile::TryTake() const {
  struct flock whole_file {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0 &&
      fcntl(file_.get(), F_OFD_SETLK, &whole_file) == 0) {
    return true;
  }
  const int error = errno;
  flock(file_.get(), LOCK_UN);  // whoever has the other kind may be about to take this one
  if (error == EWOULDBLOCK || error == EACCES) return false;  // POSIX lets a record lock say either
  throw Error(fmt::format("cannot lock {}: {}; choose a folder on a file system that has locks",
                          path_, SystemMessage(error)));
}

void LockFile::Take(std::chrono::milliseconds patience) const {
  constexpr std::chrono::milliseconds kPace{10};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!TryTake()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw InUseError(fmt::format(
          "{} has a server already: {} holds {}; stop that server or choose another path",
          socket_.string(), ReadOwner().value_or("someone"), path_));
    }
    std::this_thread::sleep_for(kPace);  // a lock has no wait with a deadline
  }
}

void LockFile::Write(const std::string& owner) const {
  struct stat found {};
  if (fstat(file_.get(), &found) == 0 && found.st_size > 0 && !ReadOwner()) {
    throw Error(
        fmt::format("{} is needed as a lock file and holds something else; choose another name for "
                    "the socket, or move that file away",
                    path_));
  }
  const nlohmann::ordered_json record = {
      {"pid", getpid()}, {"host", HostName()}, {"implementation", owner}};
  const std::string line = record.dump() + "\n";
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw Error(fmt::format("cannot write to the lock file {}: {}; see whether its disk is full",
                            path_, SystemMessage(errno)));
  }
}

// What the file says of its owner; nothing where it says nothing that a server wrote.
std::optional<std::string> LockFile::ReadOwner() const {
  std::array<char, 4096> text{};
  const ssize_t size = pread(file_.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  const auto record = nlohmann::json::parse(text.begin(), text.begin() + size, nullptr, false);
  if (!record.is_object() || !record.contains("implementation") || !record.contains("pid") ||
      !record.contains("host")) {
    return std::nullopt;
  }
  const auto plain = [](const nlohmann::json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  return fmt::format("{}, process {} on host {},", plain(record["implementation"]),
                     plain(record["pid"]), plain(record["host"]));
}

}  // namespace samehost
