// The three commands of every peer of the interop matrix: serve, greet and interop.

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command_line.h"
#include "greet.h"
#include "greeter_service.h"
#include "health_service.h"
#include "interop_runner.h"
#include "interop_service.h"
#include "log.h"
#include "orca.h"
#include "serve.h"

namespace samehost::interop {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// Prints a line of JSON and flushes it.
void Print(const nlohmann::ordered_json& line) {
  std::cout << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

int Run(const ServeCommand& command) {
  CurrentLoadReport current_load_report;
  GreeterService greeter;
  InteropService interop(current_load_report);
  OpenRcaService orca(current_load_report);
  HealthService health({greeter::v1::GreeterService::service_full_name(),
                        grpc::testing::TestService::service_full_name(),
                        xds::service::orca::v3::OpenRcaService::service_full_name()});
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  const std::initializer_list<grpc::Service*> services = {&greeter, &interop, &orca, &health};
  for (grpc::Service* service : services) builder.RegisterService(service);
  Serve(command.address, command.options, builder, health, [&] {
    Print({{"event", "ready"},
           {"address", command.address.target()},
           {"pid", getpid()},
           {"implementation", kImplementation},
           {"version", grpc::Version()}});
  });
  return EXIT_SUCCESS;
}

int Run(const GreetCommand& command) {
  Greet(command.address, command.name, command.timeout, [](const Exchange& exchange) {
    std::cout << exchange.method << '\n';
    for (const std::string& text : exchange.sent) std::cout << "  > " << text << '\n';
    for (const std::string& text : exchange.received) std::cout << "  < " << text << '\n';
    std::cout.flush();
  });
  return EXIT_SUCCESS;
}

int Run(const InteropCommand& command) {
  const bool passed = RunCases(command.address, command.cases, [](const CaseResult& result) {
    Print({{"case", result.name},
           {"result", result.result},
           {"detail", result.detail},
           {"ms", result.milliseconds}});
  });
  return passed ? EXIT_SUCCESS : kExitFailed;
}

int Fail(const std::exception& error, int exit_code) {
  LogError(error.what());
  return exit_code;
}

int Main(int argc, char** argv) {
  // An error is a single line. Set this variable to see the log of gRPC, too.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  try {
    return std::visit([](const auto& command) { return Run(command); },
                      ParseCommandLine(argc, argv));
  } catch (const HelpRequest& help) {
    std::cout << help.what();
    return EXIT_SUCCESS;
  } catch (const UsageError& error) {
    return Fail(error, kExitUsage);
  } catch (const std::exception& error) {
    return Fail(error, kExitFailed);
  }
}

}  // namespace
}  // namespace samehost::interop

int main(int argc, char** argv) { return samehost::interop::Main(argc, argv); }
