#ifndef SAMEHOST_SRC_LOCK_FILE_H_
#define SAMEHOST_SRC_LOCK_FILE_H_

#include <filesystem>
#include <optional>
#include <string>

#include "file_descriptor.h"
#include "folder.h"
#include "samehost/error.h"

namespace samehost::internal {

// An exclusive lock on a file beside a socket, so that a path has only one server. The destructor
// releases it, and the system does if the process dies.
//
// The file is never removed: if it were, one server could hold the lock of the removed file while
// the next server locks a new file. The file describes its owner, for error messages only.
//
// A process that may open the file may lock it. So it must be a regular file with one name that
// belongs to this user, root or the owner of the folder, and its mode is set to 0600.
class LockFile {
 public:
  // Locks `<socket>.lock` in the open folder of the socket and writes the owner to it. Throws
  // InUseError if another process holds the lock, LockFileError if the file is not a lock file or
  // other users may lock it, and Error if the system refuses access.
  LockFile(const Folder& folder, const std::filesystem::path& socket, const std::string& owner);

 private:
  LockFileError NotRegular() const;
  void RefuseFileOfOthers(uid_t folder_owner) const;
  void Take() const;
  void Write(const std::string& owner) const;
  std::optional<std::string> ReadOwner() const;

  const std::string socket_;
  const std::string path_;
  const FileDescriptor file_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_LOCK_FILE_H_
