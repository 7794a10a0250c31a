#ifndef SAMEHOST_INTEROP_COMMAND_LINE_H_
#define SAMEHOST_INTEROP_COMMAND_LINE_H_

#include <chrono>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "samehost/socket_address.h"
#include "serve.h"

namespace samehost::interop {

// The program's name, as its messages begin.
inline constexpr char kProgram[] = "samehost-interop-cpp";

struct ServeCommand {
  SocketAddress address;
  ServeOptions options;
};

struct GreetCommand {
  SocketAddress address;
  std::string name;
  std::chrono::milliseconds timeout;
};

struct InteropCommand {
  SocketAddress address;
  std::vector<std::string> cases;
};

using Command = std::variant<ServeCommand, GreetCommand, InteropCommand>;

// The user asked for help, which `what` has.
class HelpRequest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The command line asks for what can't be; one line.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads the command line. Throws HelpRequest or UsageError.
Command ParseCommandLine(int argc, char** argv);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_COMMAND_LINE_H_
