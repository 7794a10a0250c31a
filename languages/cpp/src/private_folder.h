#ifndef SAMEHOST_SRC_PRIVATE_FOLDER_H_
#define SAMEHOST_SRC_PRIVATE_FOLDER_H_

#include <filesystem>
#include <string>

#include "folder.h"

namespace samehost::internal {

// A new folder beside a socket, which only this user may enter. A socket in it gets the group
// that one beside it would get. It is removed on destruction, with the sockets in it.
class PrivateFolder {
 public:
  // Creates `<parent>/<prefix><8 random digits>`; the parent must outlive it. Throws
  // std::system_error, also where someone has put another folder in its place.
  PrivateFolder(const Folder& parent, const std::string& prefix);
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  std::filesystem::path operator/(const std::filesystem::path& name) const {
    return folder_ / name;
  }

 private:
  const Folder& parent_;
  const std::string name_;
  const Folder folder_;
};

// How the names of the private folders of a socket begin.
std::string PrivatePrefix(const std::filesystem::path& socket);

// Eight random hexadecimal digits: one of so many names that nobody can create all of them first.
std::string RandomName();

// Removes the private folders that killed servers have left. The caller must hold the lock of the
// socket.
void SweepPrivateFolders(const Folder& parent, const std::string& prefix);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_PRIVATE_FOLDER_H_
