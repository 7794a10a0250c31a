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

// The name of the program in help and errors.
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

// The command line asks for help. `what` returns the text.
class HelpRequest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The command line is invalid. The message is one line.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Parses the command line. Throws HelpRequest and UsageError.
Command ParseCommandLine(int argc, char** argv);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_COMMAND_LINE_H_
