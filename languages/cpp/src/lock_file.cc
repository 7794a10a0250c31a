#include "lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>

#include "host_name.h"
#include "socket_probe.h"

namespace samehost {
namespace {

constexpr mode_t kMode = 0600;

// Does not wait where someone has put a FIFO.
int Open(const std::filesystem::path& path) {
  return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode);
}

}  // namespace

LockFile::LockFile(const Folder& folder, const std::filesystem::path& socket,
                   const std::string& owner, std::chrono::milliseconds patience)
    : socket_(socket),
      path_(socket.string() + ".lock"),
      file_(Open(folder / std::filesystem::path(path_).filename())) {
  if (!file_.valid()) {
    const int error = errno;
    if (error == ELOOP || error == EISDIR || error == ENXIO) throw NotALockFile();
    throw Error(fmt::format("cannot open the lock file {}: {}; {}; let this process write there",
                            path_, SystemMessage(error), DescribePermissions(path_)));
  }
  RefuseWhatOthersMayLock(folder.Status().st_uid);
  Take(patience);
  Write(owner);
}

Error LockFile::NotALockFile() const {
  return Error(fmt::format(
      "{} is needed as a lock file and is not a regular file with one name; remove it, or choose "
      "another name for the socket",
      path_));
}

void LockFile::RefuseWhatOthersMayLock(uid_t folder_owner) const {
  constexpr uid_t kRoot = 0;
  struct stat found {};
  if (fstat(file_.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1) {
    throw NotALockFile();
  }
  if (found.st_uid != geteuid() && found.st_uid != kRoot && found.st_uid != folder_owner) {
    throw Error(fmt::format(
        "the lock file {} belongs to uid {}, who could keep this server from starting; remove it, "
        "or choose a folder that only this user may write to",
        path_, found.st_uid));
  }
  const mode_t mode = found.st_mode & 07777;
  if (fchmod(file_.get(), kMode) != 0 && mode != kMode) {
    throw Error(fmt::format(
        "the lock file {} has mode {:04o}, with which others could hold it: {}; run chmod 600 {}",
        path_, mode, SystemMessage(errno), path_));
  }
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
  const std::string owner =
      fmt::format("{}, process {} on host {},", plain(record["implementation"]),
                  plain(record["pid"]), plain(record["host"]));
  const auto is_control = [](unsigned char character) { return std::iscntrl(character) != 0; };
  if (std::any_of(owner.begin(), owner.end(), is_control)) return std::nullopt;  // for a terminal
  return owner;
}

}  // namespace samehost
