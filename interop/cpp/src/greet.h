#ifndef SAMEHOST_INTEROP_GREET_H_
#define SAMEHOST_INTEROP_GREET_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "samehost/socket_address.h"

namespace samehost::interop {

// The messages of one call in order.
struct Exchange {
  std::string method;
  std::vector<std::string> sent;
  std::vector<std::string> received;
};

// Waits for the server, makes all four kinds of call and prints the messages of each. The timeout
// limits the wait and each call. Throws Error if no server answers or a call fails.
void Greet(const SocketAddress& address, const std::string& name, std::chrono::milliseconds timeout,
           const std::function<void(const Exchange&)>& print);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_GREET_H_
