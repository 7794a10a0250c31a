#ifndef SAMEHOST_SRC_PUBLIC_FILE_H_
#define SAMEHOST_SRC_PUBLIC_FILE_H_

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "folder.h"
#include "private_folder.h"
#include "socket_probe.h"

namespace samehost::internal {

// A public name in the folder of a socket, for clients or for successors.
class PublicFile {
 public:
  // The folder must outlive it. The path gives the name, and is used in error messages.
  PublicFile(const Folder& folder, std::filesystem::path path)
      : folder_(folder), path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }

  // The path through the open folder.
  std::filesystem::path held() const { return folder_ / name(); }

  std::filesystem::path name() const { return path_.filename(); }

  // Returns the status of the file with this name, if it exists. Does not follow a link.
  std::optional<struct stat> Status() const;

  PathState Probe() const { return ProbePath(held(), path_); }

  // Moves a socket of this process to the name. Returns false and sets errno on failure.
  bool Publish(const std::filesystem::path& bound);

  // Whether the file at a path is the published socket.
  bool IsOwn(const std::filesystem::path& path) const;

  // Removes the published socket if it still has the name. The caller must hold the lock, because
  // otherwise a successor could publish between the check and the removal.
  void RemoveIfOwn() const;

  // Creates a hard link to the socket for RestoreFrom. On a file system without hard links, the
  // socket may be lost.
  void KeepIn(const PrivateFolder& kept) const;

  // Moves the socket back to its public name, unless a live socket has it. The caller must hold the
  // lock.
  void RestoreFrom(const PrivateFolder& kept) const;

 private:
  const Folder& folder_;
  const std::filesystem::path path_;
  std::optional<struct stat> own_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_PUBLIC_FILE_H_
