#include "lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cmath>

#include "json.h"
#include "messages.h"
#include "socket_probe.h"
#include "text.h"

namespace samehost::internal {
namespace {

constexpr mode_t kMode = 0600;

// O_NONBLOCK, because opening a FIFO may wait.
int Open(const std::filesystem::path& path) {
  return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode);
}

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

LockFile::LockFile(const Folder& folder, const std::filesystem::path& socket,
                   const std::string& owner)
    : socket_(socket.string()),
      path_(socket_ + ".lock"),
      file_(Open(folder / std::filesystem::path(path_).filename())) {
  if (!file_.valid()) {
    const int error = errno;
    if (error == ELOOP || error == EISDIR || error == ENXIO) throw NotRegular();
    throw CannotListen(
        socket_, "cannot open " + path_ + ": " + Reason(error) + ": " + DescribePermissions(path_),
        "start this server as that user, or use a folder with write permission and space", error);
  }
  RefuseFileOfOthers(folder.Status().st_uid);
  Take();
  Write(owner);
}

LockFileError LockFile::NotRegular() const {
  return CannotListen<LockFileError>(socket_, path_ + " is not a regular file with one name",
                                     "remove it or use another path");
}

void LockFile::RefuseFileOfOthers(uid_t folder_owner) const {
  constexpr uid_t kRoot = 0;
  struct stat found {};
  if (fstat(file_.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1) {
    throw NotRegular();
  }
  if (found.st_uid != geteuid() && found.st_uid != kRoot && found.st_uid != folder_owner) {
    throw CannotListen<LockFileError>(
        socket_,
        path_ + " belongs to uid " + std::to_string(found.st_uid) + ", who could block this server",
        "remove it or use a folder that only this user can write to");
  }
  const mode_t mode = found.st_mode & 07777;
  if (fchmod(file_.get(), kMode) != 0 && mode != kMode) {
    const int error = errno;
    throw CannotListen<LockFileError>(socket_,
                                      path_ + " has mode " + Octal(mode) +
                                          ", so that other users could lock it: " + Reason(error),
                                      "run chmod 600 " + path_, error);
  }
}

// Takes both kinds of lock, because they do not exclude each other: flock(2), which most languages
// use, and a record lock, which FileChannel.tryLock of Java uses. The record lock is an open file
// description lock, because the system releases a POSIX lock as soon as the process closes any
// other descriptor of the file (fcntl(2)).
void LockFile::Take() const {
  struct flock whole_file {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0 &&
      fcntl(file_.get(), F_OFD_SETLK, &whole_file) == 0) {
    return;
  }
  const int error = errno;
  flock(file_.get(), LOCK_UN);  // the holder of the record lock may be about to take this lock
  if (error == EWOULDBLOCK || error == EACCES) {  // POSIX allows both for a record lock
    throw CannotListen<InUseError>(
        socket_, ReadOwner().value_or("another process") + " holds " + path_,
        "stop that server, replace it with takeover, or use another path");
  }
  throw CannotListen(socket_, "cannot lock " + path_ + ": " + Reason(error),
                     "use a file system that has locks", error);
}

void LockFile::Write(const std::string& owner) const {
  struct stat found {};
  if (fstat(file_.get(), &found) == 0 && found.st_size > 0 && !ReadOwner()) {
    throw CannotListen<LockFileError>(socket_, path_ + " holds the data of another program",
                                      "move it or use another path");
  }
  const std::string line = "{\"pid\":" + std::to_string(getpid()) +
                           ",\"host\":" + Quoted(HostName()) +
                           ",\"implementation\":" + Quoted(owner) + "}\n";
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    const int error = errno;
    throw CannotListen(socket_, "cannot write " + path_ + ": " + Reason(error),
                       "free space on its file system", error);
  }
}

// Returns the description of the owner, or nothing if the file has other content.
std::optional<std::string> LockFile::ReadOwner() const {
  std::array<char, 4096> text{};
  const ssize_t size = pread(file_.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  const auto record = ParseObject(std::string(text.data(), static_cast<std::size_t>(size)));
  if (!record) return std::nullopt;
  std::array<std::string, 3> values;
  const std::array keys{"implementation", "pid", "host"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto found = record->fields().find(keys[i]);
    if (found == record->fields().end()) return std::nullopt;
    const google::protobuf::Value& value = found->second;
    values[i] = value.has_number_value() ? std::to_string(std::llround(value.number_value()))
                                         : value.string_value();
  }
  const std::string owner = values[0] + ", process " + values[1] + " on host " + values[2] + ",";
  const auto is_control = [](unsigned char character) { return std::iscntrl(character) != 0; };
  if (std::any_of(owner.begin(), owner.end(), is_control)) return std::nullopt;  // unsafe to print
  return owner;
}

}  // namespace samehost::internal
