#include "listen.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "dial.h"
#include "error.h"
#include "file_descriptor.h"
#include "health_service.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// Servers in this process, which ctest starts for each test anew.
class ListenTest : public ::testing::Test {
 protected:
  // Serves, does something when calls succeed, and returns how long the stop takes after it.
  steady_clock::duration StopAfter(const ListenOptions& options,
                                   const std::function<void()>& meanwhile) const {
    HealthService health({});
    steady_clock::time_point begun;
    Listen(address_, options, {&health}, health, [&] {
      meanwhile();
      begun = steady_clock::now();
      kill(getpid(), SIGTERM);
    });
    return steady_clock::now() - begun;
  }

  static ListenOptions WithAge(milliseconds age) {
    ListenOptions options;
    options.max_connection_age = age;
    return options;
  }

  const TemporaryFolder folder_;
  const SocketAddress address_ = SocketAddress::Parse(folder_.path() / "server.sock");
};

TEST_F(ListenTest, StopsAtOnceWhereNobodyIsConnectedWhateverTheAge) {
  EXPECT_LT(StopAfter(WithAge(60s), [] {}), 1s) << "it takes some 10 ms, and 78 s with a client";
}

TEST_F(ListenTest, StopsAtOnceWhenItsClientsHaveGone) {
  const auto stop = StopAfter(WithAge(60s), [&] {
    const auto channel = DialAlone(address_);
    ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + 10s));
  });
  EXPECT_LT(stop, 1s);
}

TEST_F(ListenTest, ServesAnIdleClientUntilItsConnectionIsRenewed) {
  std::shared_ptr<grpc::Channel> channel;
  const auto stop = StopAfter(WithAge(1s), [&] {
    channel = DialAlone(address_);
    ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + 10s));
  });
  EXPECT_GT(stop, 100ms) << "the connection lives for 0.9 s at least";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, WaitsForAClientThatNeverLeavesNoLongerThanItMust) {
  ListenOptions options = WithAge(200ms);
  options.grace = 100ms;  // grpc waits for its handshake as for a call
  const FileDescriptor silent(socket(AF_UNIX, SOCK_STREAM, 0));
  const auto stop =
      StopAfter(options, [&] { ASSERT_EQ(Connect(silent.get(), address_.path()), 0); });
  EXPECT_GT(stop, 200ms) << "it is 1.3 ages, which is 260 ms";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, StopsSoonAfterTheGraceWhateverTheAge) {
  ListenOptions options = WithAge(60s);
  options.grace = 100ms;
  const FileDescriptor silent(socket(AF_UNIX, SOCK_STREAM, 0));
  const auto stop =
      StopAfter(options, [&] { ASSERT_EQ(Connect(silent.get(), address_.path()), 0); });
  EXPECT_LT(stop, 5s) << "it is 1.3 s";
}

// Blocks for ever.
class StuckService final : public grpc::health::v1::Health::Service {
  grpc::Status Check(grpc::ServerContext* /*context*/, const HealthCheckRequest* /*request*/,
                     HealthCheckResponse* /*response*/) override {
    std::promise<void>().get_future().wait();
    return grpc::Status::OK;
  }
};

TEST_F(ListenTest, EndsTheProcessWhereAHandlerIsStuck) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ListenOptions options;
  options.grace = 100ms;
  const auto serve = [&] {
    StuckService stuck;
    HealthService health({});
    Listen(address_, options, {&stuck}, health, [&] {
      const auto stub = grpc::health::v1::Health::NewStub(DialAlone(address_));
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + 500ms);
      HealthCheckResponse response;
      stub->Check(&context, {}, &response);
      kill(getpid(), SIGTERM);
    });
  };
  const auto begun = steady_clock::now();
  EXPECT_EXIT(serve(), ::testing::ExitedWithCode(0), "");
  EXPECT_LT(steady_clock::now() - begun, 10s);
}

TEST_F(ListenTest, TakesTheFirstSignalAfterARemovalForTheFirst) {
  ListenOptions options;
  options.on_removed = OnRemoved::kStop;
  options.grace = 0s;
  HealthService health({});
  const FileDescriptor silent(socket(AF_UNIX, SOCK_STREAM, 0));  // the drain waits for it
  std::thread stopping;
  const auto ready = [&] {
    ASSERT_EQ(Connect(silent.get(), address_.path()), 0);
    std::filesystem::remove(address_.path());
    stopping = std::thread([&] {
      const std::filesystem::path control = address_.path().string() + ".takeover";
      while (std::filesystem::exists(control)) std::this_thread::sleep_for(10ms);
      kill(getpid(), SIGTERM);
    });
  };
  EXPECT_THROW(Listen(address_, options, {&health}, health, ready), Error);
  stopping.join();
}

}  // namespace
}  // namespace samehost
