#ifndef SAMEHOST_SRC_FILE_DESCRIPTOR_H_
#define SAMEHOST_SRC_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace samehost::internal {

// Owns a file descriptor and closes it on destruction.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() {
    if (valid()) close(number_);
  }

  bool valid() const { return number_ >= 0; }
  int get() const { return number_; }

 private:
  int number_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_FILE_DESCRIPTOR_H_
