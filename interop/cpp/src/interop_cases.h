#ifndef SAMEHOST_INTEROP_CASES_H_
#define SAMEHOST_INTEROP_CASES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

// Runs an official case. Throws if the result is not as the case describes.
using InteropCase = void (*)(const SocketAddress& address);

// The official cases by name.
const std::map<std::string, InteropCase>& InteropCases();

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_CASES_H_
