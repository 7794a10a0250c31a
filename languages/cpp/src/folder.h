#ifndef SAMEHOST_SRC_FOLDER_H_
#define SAMEHOST_SRC_FOLDER_H_

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "file_descriptor.h"
#include "samehost/listen_options.h"

namespace samehost::internal {

// An open folder. `folder / name` is a path to the file of this name in it. The path stays in the
// same folder when another process renames the folder and puts another one in its place.
//
// The system has openat(2) and renameat(2), but no bindat or connectat. So paths start with
// /proc/self/fd, which every call accepts.
class Folder {
 public:
  // Opens a folder with further flags of open(2). Throws std::system_error.
  explicit Folder(const std::filesystem::path& path, int flags = 0);

  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

  // A path to the folder itself.
  const std::filesystem::path& path() const { return path_; }

  struct stat Status() const;

  // The names of the files in the folder; empty if this process may not read it.
  std::vector<std::string> Names() const;

 private:
  FileDescriptor descriptor_;
  std::filesystem::path path_;
};

// Opens the folder of a socket. Throws Error if it does not exist, and UnsafeFolderError if every
// user can write to it and its sticky bit is not set, because then every user can replace the
// socket (unlink(2)). With trust_folder, it accepts such a folder with a warning.
Folder OpenFolderOf(const std::filesystem::path& socket, const ListenOptions& options);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_FOLDER_H_
