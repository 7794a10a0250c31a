#ifndef SAMEHOST_LOCK_FILE_H_
#define SAMEHOST_LOCK_FILE_H_

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "file_descriptor.h"

namespace samehost {

// The exclusive lock on a file beside a socket that keeps two servers off one path. It is held
// until destruction, and the system releases it when the process dies.
//
// The file stays: if it were removed, one server could lock the removed file while the next locks a
// new one. What it says of its owner is only there to be read.
class LockFile {
 public:
  // Locks `<socket>.lock` and writes down who the owner is. Throws InUseError where someone else
  // holds the lock for all of the patience, and Error where the file can't be opened or is not a
  // lock file.
  LockFile(const std::filesystem::path& socket, const std::string& owner,
           std::chrono::milliseconds patience);

 private:
  bool TryTake() const;
  void Take(std::chrono::milliseconds patience) const;
  void Write(const std::string& owner) const;
  std::optional<std::string> ReadOwner() const;

  const std::filesystem::path socket_;
  const std::string path_;
  const FileDescriptor file_;
};

}  // namespace samehost

#endif  // SAMEHOST_LOCK_FILE_H_
