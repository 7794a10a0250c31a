#ifndef SAMEHOST_SOCKET_FILE_H_
#define SAMEHOST_SOCKET_FILE_H_

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "lock_file.h"
#include "socket_address.h"
#include "takeover.h"

namespace samehost {

// One server's hold on a path, as PROTOCOL.md has it: claim (construct), bind, publish, serve,
// withdraw. For use by one thread.
//
// The socket is bound in a private folder beside the path, which nobody else may enter, is given
// its mode and group there, and is renamed onto the path when it serves. So whoever finds a file at
// the path finds one that serves, and never one with a wider mode.
class SocketFile {
 public:
  // Locks the path and makes the private folder; to take over is to ask a server that has the path
  // to hand it over. Throws Error where it does not, where the path has something that is no
  // socket, or where its folder is missing or can't be written to.
  SocketFile(const SocketAddress& address, std::string owner, bool take_over = false);
  ~SocketFile() { Withdraw(); }
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

  // Where to bind.
  const std::filesystem::path& private_path() const { return private_path_; }

  // Gives the bound socket its group and mode and renames it onto the path; from now on it is
  // found, and a predecessor goes. Throws Error where the system refuses one of them.
  void Publish(mode_t mode, std::optional<gid_t> group);

  // What to poll for something that a successor has to say; -1 where none can come.
  int successor_descriptor() const { return successors_ ? successors_->descriptor() : -1; }

  // Takes in what a successor has to say. True where the path is its own now.
  bool AnswerSuccessor();

  // Whether someone has removed the file, or put another in its place, without taking it over.
  bool IsLost() const;

  // Removes the path if it is still this server's own, and releases the lock; harmless if repeated.
  void Withdraw();

 private:
  using Identity = std::pair<dev_t, ino_t>;
  static std::optional<Identity> IdentityOf(const std::filesystem::path& path);

  void TakeLock(bool take_over);
  void RetakeLock();
  void RefuseWhatIsNotStale() const;
  void RefuseForeignControl() const;
  void MakePrivateFolder() const;
  bool RemovePrivateFolder() const;
  bool Rename(const std::filesystem::path& bound, const std::filesystem::path& path);
  bool IsOwn(const std::filesystem::path& path) const;

  const SocketAddress address_;
  const std::filesystem::path private_path_;
  const std::optional<std::filesystem::path> control_path_;
  const std::string owner_;
  std::map<std::filesystem::path, Identity> identities_;  // of what this server has published
  // Before the lock, to be destroyed after it: a predecessor that hears of it finds the lock free.
  std::optional<Predecessor> predecessor_;
  std::optional<LockFile> lock_;  // nothing while a successor may have it
  std::optional<Successors> successors_;
};

}  // namespace samehost

#endif  // SAMEHOST_SOCKET_FILE_H_
