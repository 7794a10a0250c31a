#include "socket_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "error.h"
#include "socket_probe.h"

namespace samehost {
namespace {

using std::chrono::milliseconds;

// How often to look whether the path is still there. That is about as often as clients that wait
// for a server dial, and a look takes some microseconds.
constexpr milliseconds kLookPace{1000};

// How often to try to take the lock again; and how often before a warning: a third server may hold
// it while it finds the path live.
constexpr milliseconds kReclaimPace{50};
constexpr int kTriesBeforeWarning = 40;

// How long to try for a lock that was just released, for the same reason.
constexpr milliseconds kReleasedLockPatience{2000};

// Whether both are one file. The time tells, too, as the inode of a removed file is given to the
// next one.
bool IsSame(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino &&
         one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec;
}

}  // namespace

SocketFile::SocketFile(const SocketAddress& address, std::string owner, const ClaimOptions& options)
    : address_(address),
      owner_(std::move(owner)),
      folder_(OpenFolderOf(address.path(), options.trust_folder)),
      file_(folder_, address.path()) {
  if (const auto control = ControlPath(address.path())) control_.emplace(folder_, *control);
  Claim(options.take_over);
  RefuseForeignControl();
  MakePrivateFolder();
}

void SocketFile::Publish(mode_t mode, std::optional<gid_t> group) {
  const std::string path = address_.path().string();
  const auto refused_by_system = [&] {
    const int error = errno;
    return Error(fmt::format(
        "cannot publish {} with mode {:04o}{}: {}; {}; only a group that this process is in can be "
        "given",
        path, mode, group ? fmt::format(" and group {}", *group) : "", SystemMessage(error),
        DescribePermissions(path)));
  };
  // chown before chmod: it may clear bits of the mode (chown(2)).
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  if ((group && chown(private_path_.c_str(), kSameOwner, *group) != 0) ||
      chmod(private_path_.c_str(), mode) != 0) {
    throw refused_by_system();
  }
  // Not under its public name, with which the path through the folder may be too long to bind.
  const std::filesystem::path bound_control = *private_ / RandomName();
  if (control_) successors_.emplace(bound_control, control_->path());
  RefuseWhatHasComeSince();
  // The socket for successors before the path: if the process dies between the two, a predecessor
  // still has its path.
  if ((control_ && !control_->Publish(bound_control)) || !file_.Publish(private_path_)) {
    throw refused_by_system();
  }
  private_.reset();
  if (predecessor_) predecessor_->TellPublished();
  predecessor_.reset();
}

int SocketFile::successor_descriptor() const {
  const bool reclaims = lent_ && !successors_->HasOne();
  return successors_ && !reclaims ? successors_->descriptor() : -1;
}

milliseconds SocketFile::patience() const { return lent_ ? kReclaimPace : kLookPace; }

bool SocketFile::AnswerSuccessor(bool readable) {
  switch (readable ? successors_->Hear() : Successors::Said::kNothing) {
    case Successors::Said::kHello:
      LendLock();
      successors_->SayReleased();
      return false;
    case Successors::Said::kPublished:
      lent_ = false;
      return true;
    case Successors::Said::kNothing:
    case Successors::Said::kGoodbye:
      break;
  }
  if (lent_) ReclaimLock();
  return false;
}

// By its path, as clients look for it: someone may have renamed the folder.
bool SocketFile::IsLost() const { return lock_ && !file_.IsOwn(address_.path()); }

void SocketFile::Withdraw() {
  successors_.reset();  // hangs up on those who wait
  if (lent_) {
    try {
      TakeLock(milliseconds(0));
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

void SocketFile::TakeLock(milliseconds patience) {
  lock_.emplace(folder_, address_.path(), owner_, patience);
}

void SocketFile::Claim(bool take_over) {
  const auto ask_predecessor = [this] { predecessor_.emplace(folder_, address_.path()); };
  try {
    TakeLock(milliseconds(0));
  } catch (const InUseError&) {
    if (!take_over) throw;
    ask_predecessor();
    TakeLock(kReleasedLockPatience);
  }
  found_ = file_.Look();
  const PathState state = file_.Probe();
  // Someone has removed the lock file that the server there holds.
  if (state == PathState::kLive && take_over && !predecessor_) ask_predecessor();
  RefuseUnlessFree(state);
}

void SocketFile::RefuseUnlessFree(PathState state) const {
  const std::string path = address_.path().string();
  switch (state) {
    case PathState::kNotASocket:
      throw Error(
          fmt::format("{} exists and is not a socket; move it away or choose another path", path));
    case PathState::kLive:
      if (predecessor_) return;
      throw Error(fmt::format(
          "{} has a server already: someone answers there without holding {}.lock; stop that "
          "server or choose another path",
          path, path));
    case PathState::kForbidden:
      throw Error(fmt::format(
          "{} may have a server: this process is not allowed to ask; {}; remove the file if nobody "
          "serves there",
          path, DescribePermissions(path)));
    case PathState::kAbsent:
    case PathState::kStale:
      return;
  }
}

void SocketFile::RefuseForeignControl() const {
  const auto found = control_ ? control_->Look() : std::nullopt;
  if (found && !S_ISSOCK(found->st_mode)) {
    throw Error(fmt::format(
        "{} is needed to hand {} over and is not a socket; move it away or choose another path",
        control_->path().string(), address_.path().string()));
  }
}

// Only what the claim found may be replaced.
void SocketFile::RefuseWhatHasComeSince() const {
  const auto found = file_.Look();
  if (!found || (found_ && IsSame(*found, *found_))) return;
  throw Error(fmt::format(
      "someone put another file at {} while this server started; it is kept: move it away or "
      "choose another path",
      address_.path().string()));
}

void SocketFile::MakePrivateFolder() {
  const std::string prefix = PrivatePrefix(address_.path());
  // A predecessor keeps other names of its sockets in such a folder.
  if (!predecessor_) SweepPrivateFolders(folder_, prefix);
  try {
    private_.emplace(folder_, prefix);
  } catch (const std::system_error& error) {
    throw Error(fmt::format(
        "cannot create a private folder beside {}: {}; {}; let this process write there",
        address_.path().string(), SystemMessage(error.code().value()),
        DescribePermissions(address_.path().parent_path())));
  }
  // Random: connections are known by it, and C-core unlinks the name that it bound when it shuts
  // down, whatever is there by then.
  private_path_ = *private_ / RandomName();
}

// Lets a successor have the lock. It may take the public names and die, so others are kept.
void SocketFile::LendLock() {
  try {
    kept_.emplace(folder_, PrivatePrefix(address_.path()));
    file_.KeepIn(*kept_);
    if (control_) control_->KeepIn(*kept_);
  } catch (const std::system_error&) {
    // Without other names, such a server serves on, and IsLost says that nobody finds it.
  }
  lock_.reset();
  lent_ = true;
  failed_tries_ = 0;
}

// Takes the lock again when a successor has failed; until then, it is called again and again.
void SocketFile::ReclaimLock() {
  const std::string path = address_.path().string();
  if (successors_->HasOne()) {
    // It may take its time while it holds the lock.
    if (successors_->IsSilent() && TryToReclaim()) {
      successors_->HangUp();
      LogError(fmt::format(
          "a successor that wanted to take {} over says nothing more; this server serves on",
          path));
    }
  } else if (!TryToReclaim() && ++failed_tries_ == kTriesBeforeWarning) {
    LogError(fmt::format("a takeover of {} has failed, and another process holds its lock", path));
  }
}

// False where another process holds the lock, or no descriptor is left.
bool SocketFile::TryToReclaim() {
  try {
    TakeLock(milliseconds(0));
    if (kept_) {
      file_.RestoreFrom(*kept_);
      if (control_) control_->RestoreFrom(*kept_);
    }
  } catch (const Error&) {
    lock_.reset();
    return false;
  }
  kept_.reset();
  lent_ = false;
  return true;
}

}  // namespace samehost
