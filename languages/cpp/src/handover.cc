#include <system_error>

#include "socket_file.h"
#include "warn.h"

namespace samehost::internal {
namespace {

using std::chrono::milliseconds;

// The interval at which to check that the path is still there. A check takes a few microseconds,
// and clients that wait for a server connect about as often.
constexpr milliseconds kCheckInterval{1000};

// The interval at which to try to lock the path again, and the number of tries before a warning. A
// third server may hold the lock while it checks whether a server listens.
constexpr milliseconds kReclaimInterval{50};
constexpr int kTriesBeforeWarning = 40;

}  // namespace

int SocketFile::successor_descriptor() const {
  const bool reclaims = lent_ && !successors_->HasSuccessor();
  return successors_ && !reclaims ? successors_->descriptor() : -1;
}

milliseconds SocketFile::poll_time() const { return lent_ ? kReclaimInterval : kCheckInterval; }

bool SocketFile::AnswerSuccessor(bool readable) {
  switch (readable ? successors_->Receive() : Successors::Event::kNone) {
    case Successors::Event::kConnected:
      LendLock();
      successors_->SendReleased();
      return false;
    case Successors::Event::kPublished:
      lent_ = false;
      return true;
    case Successors::Event::kNone:
    case Successors::Event::kDisconnected:
      break;
  }
  if (lent_) ReclaimLock();
  return false;
}

void SocketFile::RefuseForeignControl() const {
  const auto found = control_ ? control_->Status() : std::nullopt;
  if (found && !S_ISSOCK(found->st_mode)) throw NotASocket(control_->path());
}

// Releases the lock for a successor. The successor may take the public names and die, so this
// server keeps further names of its sockets.
void SocketFile::LendLock() {
  try {
    kept_.emplace(folder_, PrivatePrefix(path_));
    file_.KeepIn(*kept_);
    if (control_) control_->KeepIn(*kept_);
  } catch (const std::system_error&) {
    // Without further names, the server continues to serve, and IsLost reports that clients cannot
    // find it.
  }
  lock_.reset();
  lent_ = true;
  failed_tries_ = 0;
}

// Locks the path again if the successor has failed.
void SocketFile::ReclaimLock() {
  if (successors_->HasSuccessor()) {
    // A successor that holds the lock may take longer.
    if (successors_->IsSilent() && TryToReclaim()) {
      successors_->Disconnect();
      Warn(options_, "the takeover of " + path_.string() +
                         " failed: the successor sent nothing; this server continues");
    }
  } else if (!TryToReclaim() && ++failed_tries_ == kTriesBeforeWarning) {
    Warn(options_,
         "the takeover of " + path_.string() +
             " failed: another process holds its lock; this server tries to lock it again");
  }
}

// Returns false if another process holds the lock, or the process has no free descriptor.
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
