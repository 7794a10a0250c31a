#include "private_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>

#include "sha256.h"
#include "text.h"

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;

// Refuses a folder that another user may have written to.
Folder OpenPrivate(const fs::path& path) {
  Folder folder(path, O_NOFOLLOW);
  const struct stat found = folder.Status();
  if (found.st_uid != geteuid() || (found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw std::system_error(EPERM, std::generic_category());
  }
  return folder;
}

Folder Make(const fs::path& path) {
  if (mkdir(path.c_str(), S_IRWXU) != 0) throw std::system_error(errno, std::generic_category());
  Folder folder = OpenPrivate(path);
  // The umask may have removed permissions. Only then call chmod, because chmod clears an inherited
  // set-gid bit, and with it the group of new files, if this process is not in the group
  // (chmod(2)).
  const mode_t mode = folder.Status().st_mode;
  if ((mode & S_IRWXU) != S_IRWXU &&
      chmod(folder.path().c_str(), S_IRWXU | (mode & S_ISGID)) != 0) {
    throw std::system_error(errno, std::generic_category());
  }
  return folder;
}

void RemoveSockets(const Folder& folder) {
  for (const std::string& name : folder.Names()) {
    const fs::path path = folder / name;
    if (std::error_code ignored; fs::symlink_status(path, ignored).type() == fs::file_type::socket)
      unlink(path.c_str());
  }
}

}  // namespace

PrivateFolder::PrivateFolder(const Folder& parent, const std::string& prefix)
    : parent_(parent), name_(prefix + RandomName()), folder_(Make(parent / name_)) {}

PrivateFolder::~PrivateFolder() {
  RemoveSockets(folder_);
  rmdir((parent_ / name_).c_str());
}

std::string PrivatePrefix(const fs::path& socket) {
  // Two sockets of a folder have the same first word with a probability of 1 in 4 billion.
  return std::string(".").append(Hex(Sha256(socket.filename()).front(), 8));
}

std::string RandomName() { return Hex(std::random_device()(), 8); }

void SweepPrivateFolders(const Folder& parent, const std::string& prefix) {
  for (const std::string& name : parent.Names()) {
    if (!name.starts_with(prefix)) continue;
    try {
      RemoveSockets(OpenPrivate(parent / name));
      rmdir((parent / name).c_str());
    } catch (const std::system_error&) {
      // It belongs to another user, or is not a folder.
    }
  }
}

}  // namespace samehost::internal
