#ifndef SAMEHOST_TESTS_TEMPORARY_FOLDER_H_
#define SAMEHOST_TESTS_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "samehost/error.h"

namespace samehost {

// A new folder for a test, which the destructor removes.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& prefix = "samehost-") : path_(Make(prefix)) {}
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  static std::filesystem::path Make(const std::string& prefix) {
    std::string name = (std::filesystem::temp_directory_path() / (prefix + "XXXXXX")).string();
    if (mkdtemp(name.data()) == nullptr) throw Error("cannot create a folder like " + name);
    return name;
  }

  const std::filesystem::path path_;
};

}  // namespace samehost

#endif  // SAMEHOST_TESTS_TEMPORARY_FOLDER_H_
