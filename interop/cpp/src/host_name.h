#ifndef SAMEHOST_INTEROP_HOST_NAME_H_
#define SAMEHOST_INTEROP_HOST_NAME_H_

#include <unistd.h>

#include <array>
#include <climits>
#include <string>

namespace samehost::interop {

inline std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_HOST_NAME_H_
