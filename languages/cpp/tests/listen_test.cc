#include "samehost/listen.h"

#include <grpcpp/generic/async_generic_service.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "file_descriptor.h"
#include "samehost/diagnose.h"
#include "samehost/dial.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

class ListenTest : public ::testing::Test {
 protected:
  Server Serve(ListenOptions options = {}) {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&services_.emplace_back());
    return Listen(address_, builder, std::move(options));
  }

  // Serves, runs a function, and returns how long the stop takes.
  steady_clock::duration StopAfter(milliseconds age, milliseconds grace,
                                   const std::function<void()>& meanwhile) {
    Server server = Serve({.max_connection_age = age});
    meanwhile();
    const auto started = steady_clock::now();
    server.Stop(grace);
    return steady_clock::now() - started;
  }

  // C-core shares the connections of channels to one address, so this sets its own pool.
  std::shared_ptr<grpc::Channel> Connected() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    auto channel = Dial(address_, arguments);
    WaitForServer(*channel, address_, 10s);
    return channel;
  }

  void ConnectSilently() const { ASSERT_EQ(internal::Connect(silent_.get(), address_.path()), 0); }

  const TemporaryFolder folder_;
  const SocketAddress address_{folder_.path() / "server.sock"};
  const internal::FileDescriptor silent_{socket(AF_UNIX, SOCK_STREAM, 0)};
  std::list<grpc::CallbackGenericService> services_;  // one for each server, without methods
};

TEST_F(ListenTest, StopsAtOnceWithoutAClient) {
  EXPECT_LT(StopAfter(60s, 5s, [] {}), 1s) << "expected 10 ms; with a client, it is 78 s";
}

TEST_F(ListenTest, StopsAtOnceWhenAllClientsHaveDisconnected) {
  EXPECT_LT(StopAfter(60s, 5s, [&] { Connected(); }), 1s);
}

TEST_F(ListenTest, WaitsUntilTheConnectionOfAnIdleClientIsRenewed) {
  std::shared_ptr<grpc::Channel> channel;
  const auto stop = StopAfter(1s, 5s, [&] { channel = Connected(); });
  EXPECT_GT(stop, 100ms) << "the connection has an age of at least 0.9 s";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, WaitsForALimitedTimeForAClientThatStays) {
  // gRPC waits for the handshake of this client as for a call.
  const auto stop = StopAfter(200ms, 100ms, [&] { ConnectSilently(); });
  EXPECT_GT(stop, 200ms) << "expected 1.3 ages, which is 260 ms";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, StopsSoonAfterTheGraceWithALongAge) {
  EXPECT_LT(StopAfter(60s, 100ms, [&] { ConnectSilently(); }), 5s) << "expected 1.3 s";
}

TEST_F(ListenTest, ReportsATakeover) {
  std::promise<void> taken_over;
  Server server = Serve({.allow_takeover = true, .on_taken_over = [&] { taken_over.set_value(); }});
  const Server successor = Serve({.take_over = true});
  taken_over.get_future().wait();
  server.Stop();
  EXPECT_NO_THROW(Diagnose(address_));
}

TEST_F(ListenTest, ReportsARemovedSocket) {
  std::promise<void> removed;
  const Server server = Serve({.on_removed = [&] { removed.set_value(); }});
  std::filesystem::remove(address_.path());
  removed.get_future().wait();
}

TEST_F(ListenTest, RefusesASecondServerAndARelativePath) {
  const Server server = Serve();
  EXPECT_THROW(Serve(), InUseError);
  EXPECT_THROW(SocketAddress("server.sock"), AddressError);
}

TEST_F(ListenTest, StopsWhenItIsDestroyed) {
  std::optional<Server> server = Serve();
  EXPECT_NO_THROW(Diagnose(address_));
  server.reset();
  EXPECT_THROW(Diagnose(address_), NoServerError);
}

}  // namespace
}  // namespace samehost
