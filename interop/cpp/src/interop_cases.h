#ifndef SAMEHOST_INTEROP_CASES_H_
#define SAMEHOST_INTEROP_CASES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

// Runs an official case; throws where it does not go as its description says.
using InteropCase = void (*)(const SocketAddress& address);

// The official cases by name.
const std::map<std::string, InteropCase>& InteropCases();

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_CASES_H_
