#include "folder.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include "error.h"
#include "socket_probe.h"

namespace samehost {
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
      throw Error(fmt::format("no folder {} for the socket {}; create it or mount it",
                              path.string(), socket.string()));
    }
    throw Error(fmt::format("cannot open the folder of {}: {}; {}", socket.string(),
                            SystemMessage(number), DescribePermissions(path)));
  }
}

}  // namespace

Folder::Folder(const fs::path& path, int flags)
    : descriptor_(Open(path, flags)), path_(fmt::format("/proc/self/fd/{}", descriptor_.get())) {
  if (std::error_code ignored; !fs::exists(path_, ignored)) path_ = path;  // no /proc is mounted
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

Folder OpenFolderOf(const fs::path& socket, bool trusted) {
  const fs::path path = socket.parent_path();
  Folder folder = OpenExisting(path, socket);
  const mode_t mode = folder.Status().st_mode;
  if ((mode & S_IWOTH) == 0 || (mode & S_ISVTX) != 0) return folder;
  const std::string fault = fmt::format("every user can replace the socket {}: {} has mode {:04o}",
                                        socket.string(), path.string(), mode & 07777);
  if (!trusted) {
    throw Error(fmt::format(
        "{}; run chmod o-w {}, or serve with --trust-folder if you trust everyone who can reach it",
        fault, path.string()));
  }
  LogError(fault);
  return folder;
}

}  // namespace samehost
