#include "folder.h"

#include <fcntl.h>

#include <cerrno>
#include <system_error>

#include "messages.h"
#include "samehost/error.h"
#include "socket_probe.h"
#include "text.h"
#include "warn.h"

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;

FileDescriptor Open(const fs::path& path, int flags) {
  // O_PATH needs no permission to read the folder.
  FileDescriptor opened(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | flags));
  if (!opened.valid()) throw std::system_error(errno, std::generic_category());
  return opened;
}

Folder OpenExisting(const fs::path& path, const fs::path& socket) {
  try {
    return Folder(path);
  } catch (const std::system_error& error) {
    const int number = error.code().value();
    if (number == ENOENT || number == ENOTDIR) {
      throw CannotListen(socket, "the folder " + path.string() + " does not exist",
                         "create it or mount it", number);
    }
    throw CannotListen(
        socket, "cannot open its folder: " + Reason(number) + ": " + DescribePermissions(path),
        "give this process search permission", number);
  }
}

}  // namespace

Folder::Folder(const fs::path& path, int flags)
    : descriptor_(Open(path, flags)), path_("/proc/self/fd/" + std::to_string(descriptor_.get())) {
  if (std::error_code ignored; !fs::exists(path_, ignored)) path_ = path;  // /proc is not mounted
}

struct stat Folder::Status() const {
  struct stat status {};
  if (fstat(descriptor_.get(), &status) != 0) {
    throw std::system_error(errno, std::generic_category());
  }
  return status;
}

std::vector<std::string> Folder::Names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(path_, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  return names;
}

Folder OpenFolderOf(const fs::path& socket, const ListenOptions& options) {
  const fs::path path = socket.parent_path();
  Folder folder = OpenExisting(path, socket);
  const mode_t mode = folder.Status().st_mode;
  if ((mode & S_IWOTH) == 0 || (mode & S_ISVTX) != 0) return folder;
  const std::string danger = "every user can replace the socket, because " + path.string() +
                             " has mode " + Octal(mode & 07777);
  if (!options.trust_folder) {
    throw CannotListen<UnsafeFolderError>(socket, danger, "run chmod o-w " + path.string());
  }
  Warn(options, socket.string() + " is not safe: " + danger);
  return folder;
}

}  // namespace samehost::internal
