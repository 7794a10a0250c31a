#ifndef SAMEHOST_INTEROP_RUNNER_H_
#define SAMEHOST_INTEROP_RUNNER_H_

#include <functional>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

struct CaseResult {
  std::string name;
  std::string result;  // pass, fail or unimplemented
  std::string detail;  // the expected and the actual value in one line; empty for a pass
  double milliseconds;
};

// Returns the names of all official cases, including those that this client does not implement.
std::vector<std::string> CaseNames();

// Runs cases one after the other, each on a new channel. Prints each result at once and returns
// whether all passed. Throws Error if no server answers.
bool RunCases(const SocketAddress& address, const std::vector<std::string>& names,
              const std::function<void(const CaseResult&)>& print);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_RUNNER_H_
