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

// A name in the folder of a socket under which clients or successors find this process.
class PublicFile {
 public:
  // The folder must outlive it. The path is for error messages, and gives the name.
  PublicFile(const Folder& folder, std::filesystem::path path)
      : folder_(folder), path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }

  // A path to it in the open folder.
  std::filesystem::path held() const { return folder_ / name(); }

  std::filesystem::path name() const { return path_.filename(); }

  // What has the name, if anything; of a link, the link itself.
  std::optional<struct stat> Look() const;

  PathState Probe() const { return ProbePath(held(), path_); }

  // Gives the name to a socket of this process. False, and errno, where the system refuses.
  bool Publish(const std::filesystem::path& bound);

  // Whether what is at a path is the socket that was published.
  bool IsOwn(const std::filesystem::path& path) const;

  // Removes the name if the socket still has it. Takes the lock: without it, a successor could
  // publish between the look and the removal.
  void RemoveIfOwn() const;

  // Gives the socket another name, for Restore. Not every file system has hard links; without one,
  // the socket may be lost.
  void KeepIn(const PrivateFolder& kept) const;

  // Gives the socket its public name again, unless a live one has it. Takes the lock.
  void RestoreFrom(const PrivateFolder& kept) const;

 private:
  const Folder& folder_;
  const std::filesystem::path path_;
  std::optional<struct stat> own_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_PUBLIC_FILE_H_
