#ifndef SAMEHOST_INTEROP_RUNNER_H_
#define SAMEHOST_INTEROP_RUNNER_H_

#include <functional>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

// How a case went.
struct CaseResult {
  std::string name;
  std::string result;  // pass, fail or unimplemented
  std::string detail;  // what was expected and what came instead, in one line; empty for a pass
  double milliseconds;
};

// The names of all official cases, those among them that this client does not know too.
std::vector<std::string> CaseNames();

// Runs cases one after the other, each on a channel of its own, says each result as soon as it is
// there, and returns whether all passed. Throws Error where no server can be reached.
bool RunCases(const SocketAddress& address, const std::vector<std::string>& names,
              const std::function<void(const CaseResult&)>& say);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_RUNNER_H_
