#include "serve.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>

#include "samehost/dial.h"
#include "temporary_folder.h"

namespace samehost::interop {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// The servers run in this process. ctest starts a new process for each test.
class ServeTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  const SocketAddress address_{folder_.path() / "server.sock"};
};

// Never returns from a call.
class StuckService final : public grpc::health::v1::Health::Service {
  grpc::Status Check(grpc::ServerContext* /*context*/, const HealthCheckRequest* /*request*/,
                     HealthCheckResponse* /*response*/) override {
    std::promise<void>().get_future().wait();
    return grpc::Status::OK;
  }
};

TEST_F(ServeTest, EndsTheProcessIfAHandlerDoesNotReturn) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto serve = [&] {
    StuckService stuck;
    HealthService health({});
    grpc::ServerBuilder builder;
    builder.RegisterService(&stuck);
    Serve(address_, {.grace = 100ms}, builder, health, [&] {
      const auto stub = grpc::health::v1::Health::NewStub(Dial(address_));
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + 500ms);
      HealthCheckResponse response;
      stub->Check(&context, {}, &response);
      kill(getpid(), SIGTERM);
    });
  };
  const auto started = steady_clock::now();
  EXPECT_EXIT(serve(), ::testing::ExitedWithCode(0), "");
  EXPECT_LT(steady_clock::now() - started, 10s);
}

TEST_F(ServeTest, TreatsASignalAfterARemovalAsTheFirst) {
  HealthService health({});
  grpc::ServerBuilder builder;
  builder.RegisterService(&health);
  std::shared_ptr<grpc::Channel> client;  // the drain waits for its connection
  std::thread stopping;
  const auto ready = [&] {
    client = Dial(address_);
    WaitForServer(*client, address_, 10s);
    std::filesystem::remove(address_.path());
    stopping = std::thread([&] {
      const std::filesystem::path control = address_.path().string() + ".takeover";
      while (std::filesystem::exists(control)) std::this_thread::sleep_for(10ms);
      kill(getpid(), SIGTERM);
    });
  };
  const ServeOptions options{.on_removed = OnRemoved::kStop, .grace = 0s};
  EXPECT_THROW(Serve(address_, options, builder, health, ready), Error);
  stopping.join();
}

}  // namespace
}  // namespace samehost::interop
