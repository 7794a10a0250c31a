#ifndef SAMEHOST_INTEROP_GREET_H_
#define SAMEHOST_INTEROP_GREET_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

// What one call sent and received, in order.
struct Exchange {
  std::string method;
  std::vector<std::string> sent;
  std::vector<std::string> received;
};

// Waits for the server, makes all four kinds of call, and says what each sent and received. Each
// may take as long as `timeout`. Throws Error where no server can be reached, or a call fails.
void Greet(const SocketAddress& address, const std::string& name, std::chrono::milliseconds timeout,
           const std::function<void(const Exchange&)>& say);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_GREET_H_
