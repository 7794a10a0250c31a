#include "socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "text.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long to try for a lock that a predecessor has released, as a third server may hold it while
// it finds the path live; and how often, as a lock has no wait with a deadline.
constexpr milliseconds kReleasedLockTime{2000};
constexpr milliseconds kReleasedLockPace{10};

// Whether both are one file. The time tells, too, as the inode of a removed file is given to the
// next one.
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
  // Not under its public name, with which the path through the folder may be too long to bind.
  const std::filesystem::path bound_control = *private_ / RandomName();
  if (control_) successors_.emplace(bound_control, control_->path());
  ThrowIfCancelled(options_.cancel, path_);
  RefuseWhatHasComeSince();
  // The socket for successors before the path: if the process dies between the two, a predecessor
  // still has its path.
  if ((control_ && !control_->Publish(bound_control)) || !file_.Publish(private_path_)) {
    throw SystemError("cannot publish " + path_.string(), errno, DescribePermissions(path_));
  }
  private_.reset();
  if (predecessor_) predecessor_->TellPublished();
  predecessor_.reset();
}

// By its path, as clients look for it: someone may have renamed the folder.
bool SocketFile::IsLost() const { return lock_ && !file_.IsOwn(path_); }

void SocketFile::Withdraw() {
  successors_.reset();  // hangs up on those who wait
  if (lent_) {
    try {
      TakeLock();
    } catch (const Error&) {
      // The successor has it, and the names are its own to remove.
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
  found_ = file_.Look();
  RefuseUnlessFree(file_.Probe());
}

void SocketFile::TakeOver() {
  try {
    TakeLock();
    if (file_.Probe() != PathState::kLive) return;
    // Someone has removed the lock file that the server there holds, or another successor is
    // faster. Its predecessor may be waiting for this lock.
    lock_.reset();
  } catch (const InUseError&) {
    // As it should be.
  }
  predecessor_.emplace(folder_, path_, options_.cancel);
  for (const auto end = steady_clock::now() + kReleasedLockTime;;) {
    try {
      return TakeLock();
    } catch (const InUseError&) {
      if (steady_clock::now() >= end) throw;
    }
    ThrowIfCancelled(options_.cancel, path_);
    std::this_thread::sleep_for(kReleasedLockPace);
  }
}

void SocketFile::RefuseUnlessFree(PathState state) const {
  const std::string path = path_.string();
  switch (state) {
    case PathState::kNotASocket:
      throw NotSocketError(path +
                           " exists and is not a socket; move it away or choose another path");
    case PathState::kLive:
      if (predecessor_) return;
      throw InUseError(path + " has a server already: someone answers there without holding " +
                       path + ".lock; stop that server or choose another path");
    case PathState::kForbidden:
      throw InUseError(path + " may have a server: this process is not allowed to ask; " +
                       DescribePermissions(path_) + "; remove the file if nobody serves there");
    case PathState::kAbsent:
    case PathState::kStale:
      return;
  }
}

// Only what the claim found may be replaced.
void SocketFile::RefuseWhatHasComeSince() const {
  const auto found = file_.Look();
  if (!found || (found_ && IsSame(*found, *found_))) return;
  throw InUseError("someone put another file at " + path_.string() +
                   " while this server started; it is kept: move it away or choose another path");
}

void SocketFile::MakePrivateFolder() {
  const std::string prefix = PrivatePrefix(path_);
  // A predecessor keeps other names of its sockets in such a folder.
  if (!predecessor_) SweepPrivateFolders(folder_, prefix);
  try {
    private_.emplace(folder_, prefix);
  } catch (const std::system_error& error) {
    throw SystemError("cannot create a private folder beside " + path_.string(),
                      error.code().value(),
                      DescribePermissions(path_.parent_path()) + "; let this process write there");
  }
  // Random: connections are known by it, and C-core unlinks the name that it bound when it shuts
  // down, whatever is there by then.
  private_path_ = *private_ / RandomName();
}

void SocketFile::SetGroupAndMode() const {
  // chown before chmod: it may clear bits of the mode (chown(2)).
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  const auto& group = options_.group;
  if ((!group || chown(private_path_.c_str(), kSameOwner, *group) == 0) &&
      chmod(private_path_.c_str(), options_.mode) == 0) {
    return;
  }
  throw SystemError("cannot give " + path_.string() + " the mode " + Octal(options_.mode) +
                        (group ? " and the group " + std::to_string(*group) : ""),
                    errno,
                    DescribePermissions(path_.parent_path()) +
                        "; only a group that this process is in can be given");
}

}  // namespace samehost::internal
