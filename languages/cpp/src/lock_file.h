#ifndef SAMEHOST_SRC_LOCK_FILE_H_
#define SAMEHOST_SRC_LOCK_FILE_H_

#include <filesystem>
#include <optional>
#include <string>

#include "file_descriptor.h"
#include "folder.h"
#include "samehost/error.h"

namespace samehost::internal {

// The exclusive lock on a file beside a socket that keeps two servers off one path. It is held
// until destruction, and the system releases it when the process dies.
//
// The file stays: if it were removed, one server could lock the removed file while the next locks a
// new one. What it says of its owner is only there to be read.
//
// Whoever may open the file may lock it. So it must be a regular file with one name, of this user,
// of root or of the folder's owner, and it gets the mode 0600.
class LockFile {
 public:
  // Locks `<socket>.lock` in the open folder of the socket and writes down who the owner is. Throws
  // InUseError where someone else holds the lock, LockFileError where the file is not a lock file
  // or others may lock it, and Error where the system refuses.
  LockFile(const Folder& folder, const std::filesystem::path& socket, const std::string& owner);

 private:
  LockFileError NotALockFile() const;
  void RefuseWhatOthersMayLock(uid_t folder_owner) const;
  void Take() const;
  void Write(const std::string& owner) const;
  std::optional<std::string> ReadOwner() const;

  const std::string socket_;
  const std::string path_;
  const FileDescriptor file_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_LOCK_FILE_H_
