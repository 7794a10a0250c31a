#ifndef SAMEHOST_SRC_FOLDER_H_
#define SAMEHOST_SRC_FOLDER_H_

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "file_descriptor.h"
#include "samehost/listen_options.h"

namespace samehost::internal {

// An open folder. `folder / name` is a path to what has this name in it. The path stays in the
// folder when someone renames the folder and puts another one in its place.
//
// There are openat(2) and renameat(2), but no bind or connect of that kind. So names go through
// /proc/self/fd, which every call takes.
class Folder {
 public:
  // Opens a folder; the flags are further ones of open(2). Throws std::system_error.
  explicit Folder(const std::filesystem::path& path, int flags = 0);

  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

  // A path to the folder itself.
  const std::filesystem::path& path() const { return path_; }

  // Its owner and mode.
  struct stat Status() const;

  // The names of what is in it; none where this process may not read it.
  std::vector<std::string> Names() const;

 private:
  FileDescriptor descriptor_;
  std::filesystem::path path_;
};

// Opens the folder of a socket. Throws Error where there is none, and UnsafeFolderError where every
// user can replace the socket: whoever may write to a folder may do so, unless its sticky bit is
// set (unlink(2)). Such a folder is accepted with a warning where it is trusted.
Folder OpenFolderOf(const std::filesystem::path& socket, const ListenOptions& options);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_FOLDER_H_
