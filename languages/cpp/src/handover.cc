#include <system_error>

#include "socket_file.h"
#include "warn.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;

// How often to look whether the path is still there. That is about as often as clients that wait
// for a server dial, and a look takes some microseconds.
constexpr milliseconds kLookPace{1000};

// How often to try to take the lock again; and how often before a warning: a third server may hold
// it while it finds the path live.
constexpr milliseconds kReclaimPace{50};
constexpr int kTriesBeforeWarning = 40;

}  // namespace

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

void SocketFile::RefuseForeignControl() const {
  const auto found = control_ ? control_->Look() : std::nullopt;
  if (found && !S_ISSOCK(found->st_mode)) {
    throw NotSocketError(control_->path().string() + " is needed to hand " + path_.string() +
                         " over and is not a socket; move it away or choose another path");
  }
}

// Lets a successor have the lock. It may take the public names and die, so others are kept.
void SocketFile::LendLock() {
  try {
    kept_.emplace(folder_, PrivatePrefix(path_));
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
  if (successors_->HasOne()) {
    // It may take its time while it holds the lock.
    if (successors_->IsSilent() && TryToReclaim()) {
      successors_->HangUp();
      Warn(options_, "a successor that wanted to take " + path_.string() +
                         " over says nothing more; this server serves on");
    }
  } else if (!TryToReclaim() && ++failed_tries_ == kTriesBeforeWarning) {
    Warn(options_,
         "a takeover of " + path_.string() + " has failed, and another process holds its lock");
  }
}

// False where another process holds the lock, or no descriptor is left.
bool SocketFile::TryToReclaim() {
  try {
    TakeLock();
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

}  // namespace samehost::internal
