#ifndef SAMEHOST_TESTS_TEMPORARY_FOLDER_H_
#define SAMEHOST_TESTS_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

#include "error.h"

namespace samehost {

// A folder of a test's own, which lasts as long as this.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(Make()) {}
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  static std::filesystem::path Make() {
    std::string name = (std::filesystem::temp_directory_path() / "samehost-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder like " + name);
    return name;
  }

  const std::filesystem::path path_;
};

}  // namespace samehost

#endif  // SAMEHOST_TESTS_TEMPORARY_FOLDER_H_
