#include "socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "messages.h"
#include "text.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long to try to lock a path that a predecessor has released. A third server may hold the lock
// while it checks whether a server listens. A lock has no wait with a deadline, so it is polled.
constexpr milliseconds kReleasedLockTime{2000};
constexpr milliseconds kReleasedLockInterval{10};

// Whether both are the same file. The inode is not enough, because the system reuses the inode of a
// removed file.
bool IsSame(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino &&
         one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec;
}

}  // namespace

SocketFile::SocketFile(const SocketAddress& address, ListenOptions options)
    : options_(std::move(options)),
      path_(address.path()),
      folder_(OpenFolderOf(path_, options_)),
      file_(folder_, path_) {
  const auto control = ControlPath(path_);
  if (control && (options_.allow_takeover || options_.take_over)) {
    control_.emplace(folder_, *control);
  }
  Claim();
  RefuseForeignControl();
  MakePrivateFolder();
}

void SocketFile::Publish() {
  SetGroupAndMode();
  // A short name, because the path with the public name may be too long to bind.
  const std::filesystem::path bound_control = *private_ / RandomName();
  if (control_) successors_.emplace(bound_control, path_);
  ThrowIfCancelled(options_.cancel, path_);
  RefuseChange();
  // The control socket comes first: if the process dies between the two, a predecessor still has
  // its path.
  if ((control_ && !control_->Publish(bound_control)) || !file_.Publish(private_path_)) {
    const int error = errno;
    throw CannotListen(
        path_, "cannot move the socket there: " + Reason(error) + ": " + DescribePermissions(path_),
        "give this process write permission", error);
  }
  private_.reset();
  if (predecessor_) predecessor_->SendPublished();
  predecessor_.reset();
}

// Uses the path, as clients do, because the open folder may have been renamed.
bool SocketFile::IsLost() const { return lock_ && !file_.IsOwn(path_); }

void SocketFile::Withdraw() {
  successors_.reset();  // disconnects waiting successors
  if (lent_) {
    try {
      TakeLock();
    } catch (const Error&) {
      // The successor holds the lock, and removes the names itself.
    }
    lent_ = false;
  }
  if (lock_) {
    file_.RemoveIfOwn();
    if (control_) control_->RemoveIfOwn();
  }
  private_.reset();
  kept_.reset();
  lock_.reset();
  predecessor_.reset();
}

void SocketFile::Claim() {
  options_.take_over ? TakeOver() : TakeLock();
  found_ = file_.Status();
  RefuseUnlessFree(file_.Probe());
}

void SocketFile::TakeOver() {
  try {
    TakeLock();
    if (file_.Probe() != PathState::kLive) return;
    // The running server holds a lock file that was removed, or another successor was faster. Its
    // predecessor may wait for this lock.
    lock_.reset();
  } catch (const InUseError&) {
    // The running server holds the lock.
  }
  predecessor_.emplace(folder_, path_, options_.cancel);
  for (const auto end = steady_clock::now() + kReleasedLockTime;;) {
    try {
      return TakeLock();
    } catch (const InUseError&) {
      if (steady_clock::now() >= end) throw;
    }
    ThrowIfCancelled(options_.cancel, path_);
    std::this_thread::sleep_for(kReleasedLockInterval);
  }
}

NotSocketError SocketFile::NotASocket(const std::filesystem::path& found) const {
  const std::string subject = found == path_ ? "it" : found.string();
  return CannotListen<NotSocketError>(path_, subject + " exists and is not a socket",
                                      "move it or use another path");
}

void SocketFile::RefuseUnlessFree(PathState state) const {
  switch (state) {
    case PathState::kNotASocket:
      throw NotASocket(path_);
    case PathState::kLive:
      if (predecessor_) return;
      throw CannotListen<InUseError>(
          path_, "a server that does not hold " + path_.string() + ".lock answers there",
          "stop that server or use another path");
    case PathState::kForbidden:
      throw CannotListen<InUseError>(
          path_,
          "cannot check for a running server: permission denied: " + DescribePermissions(path_),
          "remove the socket if no server uses it");
    case PathState::kAbsent:
    case PathState::kStale:
      return;
  }
}

// Only the file that Claim found may be replaced.
void SocketFile::RefuseChange() const {
  const auto found = file_.Status();
  if (!found || (found_ && IsSame(*found, *found_))) return;
  throw CannotListen<InUseError>(path_, "another file appeared there during the start",
                                 "move it or use another path");
}

void SocketFile::MakePrivateFolder() {
  const std::string prefix = PrivatePrefix(path_);
  // A predecessor keeps further names of its sockets in such a folder.
  if (!predecessor_) SweepPrivateFolders(folder_, prefix);
  try {
    private_.emplace(folder_, prefix);
  } catch (const std::system_error& error) {
    const int number = error.code().value();
    throw CannotListen(path_,
                       "cannot create a private folder beside it: " + Reason(number) + ": " +
                           DescribePermissions(path_.parent_path()),
                       "give this process write permission, and the file system space", number);
  }
  // The name is random because it identifies connections, and because C-core removes the name that
  // it bound when it shuts down, even if another server has bound it since.
  private_path_ = *private_ / RandomName();
}

void SocketFile::SetGroupAndMode() const {
  // chown comes first, because it may clear bits of the mode (chown(2)).
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  const auto& group = options_.group;
  if (group && chown(private_path_.c_str(), kSameOwner, *group) != 0) {
    const int error = errno;
    throw CannotListen(path_,
                       "cannot set the group " + std::to_string(*group) + ": " + Reason(error),
                       "use a group of this process", error);
  }
  if (chmod(private_path_.c_str(), options_.mode) != 0) {
    const int error = errno;
    throw CannotListen(path_, "cannot set the mode " + Octal(options_.mode) + ": " + Reason(error),
                       "use a file system that has permissions", error);
  }
}

}  // namespace samehost::internal
