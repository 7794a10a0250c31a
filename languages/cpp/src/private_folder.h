#ifndef SAMEHOST_SRC_PRIVATE_FOLDER_H_
#define SAMEHOST_SRC_PRIVATE_FOLDER_H_

#include <filesystem>
#include <string>

#include "folder.h"

namespace samehost::internal {

// A new folder beside a socket that only this user may enter. A socket in it gets the same group as
// a socket beside it. The destructor removes the folder and the sockets in it.
class PrivateFolder {
 public:
  // Creates `<parent>/<prefix><8 random digits>`. The parent must outlive it. Throws
  // std::system_error, also if another folder has been put in its place.
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

// Returns the prefix of the names of the private folders of a socket.
std::string PrivatePrefix(const std::filesystem::path& socket);

// Returns eight random hexadecimal digits. No other user can create all of these names in advance.
std::string RandomName();

// Removes the private folders of killed servers. The caller must hold the lock of the socket.
void SweepPrivateFolders(const Folder& parent, const std::string& prefix);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_PRIVATE_FOLDER_H_
