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

// One server's hold on a path, as PROTOCOL.md has it: claim (construct), bind, publish, serve,
// withdraw. For use by one thread.
//
// The socket is bound in a private folder beside the path, which nobody else may enter, is given
// its mode and group there, and is renamed onto the path when it serves. So whoever finds a file at
// the path finds one that serves, and never one with a wider mode.
//
// All names are relative to folders that are held open. Another user who may write to the folder
// can replace what is there, but can't make the server change or remove a file of somebody else.
class SocketFile {
 public:
  // Locks the path and makes the private folder. Throws what Listen does.
  SocketFile(const SocketAddress& address, ListenOptions options);
  ~SocketFile() { Withdraw(); }
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

  // Where to bind. Connections that were accepted there keep it as their name.
  const std::filesystem::path& private_path() const { return private_path_; }

  // Gives the bound socket its group and mode and renames it onto the path; from now on it is
  // found, and a predecessor goes. Throws Error where the system refuses one of them, InUseError
  // where someone has put something at the path since the claim, and CancelledError.
  void Publish();

  // The hand-over to a successor, in handover.cc.

  // What to poll for something that a successor has to say; -1 where none can come.
  int successor_descriptor() const;

  // How long to poll at most before the next call of AnswerSuccessor.
  std::chrono::milliseconds patience() const;

  // Takes in what a successor has to say, where there is something to read, and takes the lock
  // again when it has failed. True where the path is the successor's now.
  bool AnswerSuccessor(bool readable);

  // Whether someone has removed the file, or put another in its place, without taking it over.
  bool IsLost() const;

  // Removes the path if it is still this server's own, and releases the lock; harmless if repeated.
  void Withdraw();

 private:
  void Claim();
  void TakeOver();
  void TakeLock() { lock_.emplace(folder_, path_, options_.owner); }
  void RefuseUnlessFree(PathState state) const;
  void RefuseWhatHasComeSince() const;
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
  std::optional<PublicFile> control_;  // where successors dial; nothing where there can be none
  std::optional<struct stat> found_;   // what was at the path before
  std::filesystem::path private_path_;
  // Before the lock, to be destroyed after it: a predecessor that hears of it finds the lock free.
  std::optional<Predecessor> predecessor_;
  std::optional<LockFile> lock_;  // nothing while a successor may have it
  bool lent_ = false;             // to a successor that has not published yet
  int failed_tries_ = 0;          // to take the lock again
  std::optional<PrivateFolder> private_;
  std::optional<PrivateFolder> kept_;  // with other names of the sockets, while the lock is lent
  std::optional<Successors> successors_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SOCKET_FILE_H_
