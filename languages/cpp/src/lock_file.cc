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
#include "socket_probe.h"
#include "text.h"

namespace samehost::internal {
namespace {

constexpr mode_t kMode = 0600;

// Does not wait where someone has put a FIFO.
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
    if (error == ELOOP || error == EISDIR || error == ENXIO) throw NotALockFile();
    throw SystemError("cannot open the lock file " + path_, error,
                      DescribePermissions(path_) + "; let this process write there");
  }
  RefuseWhatOthersMayLock(folder.Status().st_uid);
  Take();
  Write(owner);
}

LockFileError LockFile::NotALockFile() const {
  return LockFileError(path_ +
                       " is needed as a lock file and is not a regular file with one name; remove "
                       "it, or choose another name for the socket");
}

void LockFile::RefuseWhatOthersMayLock(uid_t folder_owner) const {
  constexpr uid_t kRoot = 0;
  struct stat found {};
  if (fstat(file_.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1) {
    throw NotALockFile();
  }
  if (found.st_uid != geteuid() && found.st_uid != kRoot && found.st_uid != folder_owner) {
    throw LockFileError("the lock file " + path_ + " belongs to uid " +
                        std::to_string(found.st_uid) +
                        ", who could keep this server from starting; remove it, or choose a folder "
                        "that only this user may write to");
  }
  const mode_t mode = found.st_mode & 07777;
  if (fchmod(file_.get(), kMode) != 0 && mode != kMode) {
    throw SystemError<LockFileError>(
        "the lock file " + path_ + " has mode " + Octal(mode) + ", with which others could hold it",
        errno, "run chmod 600 " + path_);
  }
}

// Takes both kinds of lock, because neither stops the other: flock(2), which most languages use,
// and a record lock, which Java's FileChannel.tryLock uses. The record lock is Linux's open file
// description lock: a POSIX one would be lost as soon as this process closed any other descriptor
// of the file (fcntl(2)).
void LockFile::Take() const {
  struct flock whole_file {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0 &&
      fcntl(file_.get(), F_OFD_SETLK, &whole_file) == 0) {
    return;
  }
  const int error = errno;
  flock(file_.get(), LOCK_UN);  // whoever has the other kind may be about to take this one
  if (error == EWOULDBLOCK || error == EACCES) {  // POSIX lets a record lock say either
    throw InUseError(socket_ + " has a server already: " + ReadOwner().value_or("someone") +
                     " holds " + path_ + "; stop that server or choose another path");
  }
  throw SystemError("cannot lock " + path_, error,
                    "choose a folder on a file system that has locks");
}

void LockFile::Write(const std::string& owner) const {
  struct stat found {};
  if (fstat(file_.get(), &found) == 0 && found.st_size > 0 && !ReadOwner()) {
    throw LockFileError(path_ +
                        " is needed as a lock file and holds something else; choose another name "
                        "for the socket, or move that file away");
  }
  const std::string line = "{\"pid\":" + std::to_string(getpid()) +
                           ",\"host\":" + Quoted(HostName()) +
                           ",\"implementation\":" + Quoted(owner) + "}\n";
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw SystemError("cannot write to the lock file " + path_, errno,
                      "see whether its disk is full");
  }
}

// What the file says of its owner; nothing where it says nothing that a server wrote.
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
  if (std::any_of(owner.begin(), owner.end(), is_control)) return std::nullopt;  // for a terminal
  return owner;
}

}  // namespace samehost::internal
