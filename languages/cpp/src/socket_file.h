#ifndef SAMEHOST_SRC_SOCKET_FILE_H_
#define SAMEHOST_SRC_SOCKET_FILE_H_

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "folder.h"
#include "lock_file.h"
#include "private_folder.h"
#include "public_file.h"
#include "samehost/listen_options.h"
#include "samehost/socket_address.h"
#include "socket_probe.h"
#include "takeover.h"

namespace samehost::internal {

// The files of a server at a path (PROTOCOL.md): lock, bind, publish, serve, withdraw. Not
// thread-safe.
//
// The server binds its socket in a private folder beside the path, sets mode and group there, and
// renames the socket onto the path when it serves. So a socket at the path always has a server and
// the right mode.
//
// All names are relative to open folders. Another user who may write to the folder can replace the
// files in it, but cannot make the server change or remove other files.
class SocketFile {
 public:
  // Locks the path and creates the private folder. Throws the errors of Listen.
  SocketFile(const SocketAddress& address, ListenOptions options);
  ~SocketFile() { Withdraw(); }
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

  // The path to bind. Accepted connections keep it as their name.
  const std::filesystem::path& private_path() const { return private_path_; }

  // Sets the group and mode of the bound socket, renames it onto the path, and stops a predecessor.
  // Throws Error if the system refuses a step, InUseError if another file appeared at the path
  // since it was locked, and CancelledError.
  void Publish();

  // The handover to a successor, in handover.cc.

  // The descriptor to poll for a successor; -1 if no successor is possible.
  int successor_descriptor() const;

  // The longest time to poll before the next call of AnswerSuccessor.
  std::chrono::milliseconds poll_time() const;

  // Handles a message of a successor if the descriptor is readable, and locks the path again if the
  // successor has failed. Returns whether the successor has taken over the path.
  bool AnswerSuccessor(bool readable);

  // Whether the socket was removed or replaced without a takeover.
  bool IsLost() const;

  // Removes the socket from the path if it is still there, and releases the lock. Further calls
  // have no effect.
  void Withdraw();

 private:
  void Claim();
  void TakeOver();
  void TakeLock() { lock_.emplace(folder_, path_, options_.owner); }
  NotSocketError NotASocket(const std::filesystem::path& found) const;
  void RefuseUnlessFree(PathState state) const;
  void RefuseChange() const;
  void MakePrivateFolder();
  void SetGroupAndMode() const;

  // In handover.cc.
  void RefuseForeignControl() const;
  void LendLock();
  void ReclaimLock();
  bool TryToReclaim();

  const ListenOptions options_;
  const std::filesystem::path path_;
  const Folder folder_;
  PublicFile file_;
  std::optional<PublicFile> control_;  // the socket for successors; empty without takeover
  std::optional<struct stat> found_;   // the file that was at the path before
  std::filesystem::path private_path_;
  // Declared before the lock and so destroyed after it: when the predecessor is disconnected, the
  // lock is free.
  std::optional<Predecessor> predecessor_;
  std::optional<LockFile> lock_;  // empty while a successor may hold the lock
  bool lent_ = false;             // whether a successor may hold the lock and has not published
  int failed_tries_ = 0;          // to lock the path again
  std::optional<PrivateFolder> private_;
  std::optional<PrivateFolder> kept_;  // holds further names of the sockets while lent_
  std::optional<Successors> successors_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SOCKET_FILE_H_
