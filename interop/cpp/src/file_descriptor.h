#ifndef SAMEHOST_FILE_DESCRIPTOR_H_
#define SAMEHOST_FILE_DESCRIPTOR_H_

#include <unistd.h>

namespace samehost {

// Closes a file descriptor when it goes out of scope.
class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  ~FileDescriptor() {
    if (valid()) close(number_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  bool valid() const { return number_ >= 0; }
  int get() const { return number_; }

 private:
  const int number_;
};

}  // namespace samehost

#endif  // SAMEHOST_FILE_DESCRIPTOR_H_
