#include "command_line.h"

#include <fmt/format.h>
#include <grp.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "interop_runner.h"

namespace samehost::interop {
namespace {

using std::chrono::milliseconds;

// A year. Every clock can count that far.
constexpr double kMaxSeconds = 365 * 86400.0;

// Parses the whole text as a number in a base.
template <typename Number>
std::optional<Number> ParseNumber(const std::string& text, int base) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

CLI::ValidationError Invalid(const std::string& option, const std::string& value,
                             const std::string& remedy) {
  return CLI::ValidationError(fmt::format("invalid {}: '{}'; {}", option, value, remedy));
}

mode_t ParseMode(const std::string& text) {
  const auto mode = ParseNumber<mode_t>(text, 8);
  if (mode && *mode <= 0777) return *mode;
  throw Invalid("--mode", text, "use 0000 to 0777");
}

gid_t ParseGroup(const std::string& text) {
  constexpr auto kUnchanged = static_cast<gid_t>(-1);  // means no group in chown(2)
  if (const auto number = ParseNumber<gid_t>(text, 10); number && *number != kUnchanged) {
    return *number;
  }
  if (const group* const found = getgrnam(text.c_str())) return found->gr_gid;
  throw Invalid("--group", text, "use the name of a group on this machine, or a number");
}

milliseconds ParseSeconds(const std::string& option, const std::string& text, double least) {
  double seconds = 0;
  // NaN fails these comparisons, too.
  if (CLI::detail::lexical_cast(text, seconds) && seconds >= least && seconds <= kMaxSeconds) {
    return std::chrono::duration_cast<milliseconds>(std::chrono::duration<double>(seconds));
  }
  throw Invalid(option, text, fmt::format("use {} to {} seconds", least, kMaxSeconds));
}

SocketAddress ParseSocket(const std::string& text) {
  try {
    return SocketAddress(text);
  } catch (const AddressError& error) {
    throw CLI::ValidationError(error.what());
  }
}

// Returns the error, its remedy and the path of the socket if the command line has one.
std::string Describe(const CLI::ParseError& error, const CLI::App& app) {
  std::string description = error.what();
  // The errors of the functions above already have a remedy.
  if (dynamic_cast<const CLI::ValidationError*>(&error) == nullptr) {
    description += fmt::format("; see {} --help", kProgram);
  }
  for (const CLI::App* command : app.get_subcommands()) {
    const auto& socket = command->get_option("--socket")->results();
    if (!socket.empty() && description.find(socket.back()) == std::string::npos) {
      description += fmt::format(" (for the socket {})", socket.back());
    }
  }
  return description;
}

}  // namespace

Command ParseCommandLine(int argc, char** argv) {
  std::optional<SocketAddress> address;
  ServeOptions options;
  std::string name;
  milliseconds timeout = std::chrono::seconds(5);
  std::vector<std::string> cases;

  CLI::App app("The C++ peer of the interop matrix.", kProgram);
  app.require_subcommand(1);
  const auto add_command = [&](const std::string& command_name, const std::string& description) {
    CLI::App* command = app.add_subcommand(command_name, description);
    command
        ->add_option_function<std::string>(
            "--socket", [&](const std::string& text) { address = ParseSocket(text); },
            "Absolute path of the socket")
        ->required();
    return command;
  };

  CLI::App* const serve = add_command(
      "serve", "Serve Greeter, grpc.testing.TestService, OpenRcaService, health and reflection");
  serve->add_option_function<std::string>(
      "--mode", [&](const std::string& text) { options.listen.mode = ParseMode(text); },
      "Permissions of the socket [0660]");
  serve->add_option_function<std::string>(
      "--group", [&](const std::string& text) { options.listen.group = ParseGroup(text); },
      "Group of the socket, by name or number [the group of the process or of a set-gid folder]");
  serve->add_flag("--trust-folder", options.listen.trust_folder,
                  "Serve in a folder that every user may write to, with a warning");
  serve->add_flag("--takeover", options.listen.take_over,
                  "Replace a running server, which then drains and stops");
  serve
      ->add_option_function<std::string>(
          "--on-removed",
          [&](const std::string& text) {
            options.on_removed = text == "stop" ? OnRemoved::kStop : OnRemoved::kServe;
          },
          "Whether to serve or stop after the socket was removed or replaced [serve]")
      ->check(CLI::IsMember({"serve", "stop"}));
  serve->add_option_function<std::string>(
      "--grace", [&](const std::string& text) { options.grace = ParseSeconds("--grace", text, 0); },
      "Seconds that calls in progress have to finish after a signal [5]");

  CLI::App* const greet =
      add_command("greet", "Make all four kinds of call of Greeter and print their messages");
  greet->add_option("--name", name, "Name to greet")->required();
  greet->add_option_function<std::string>(
      "--timeout",
      [&](const std::string& text) { timeout = ParseSeconds("--timeout", text, 0.001); },
      "Longest time of each call in seconds [5]");

  CLI::App* const interop =
      add_command("interop", "Run official cases and print one line of JSON for each");
  interop->add_option("--case", cases, "Name of an official case; repeat the option for more")
      ->required()
      ->allow_extra_args(false)
      ->check(CLI::IsMember(CaseNames()));

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto commands = app.get_subcommands();
    throw HelpRequest(commands.empty() ? app.help() : commands.front()->help(kProgram));
  } catch (const CLI::ParseError& error) {
    throw UsageError(Describe(error, app));
  }
  if (serve->parsed()) return ServeCommand{*address, options};
  if (greet->parsed()) return GreetCommand{*address, name, timeout};
  return InteropCommand{*address, cases};
}

}  // namespace samehost::interop
