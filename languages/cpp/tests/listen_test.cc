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

  // Serves, does something when calls succeed, and returns how long the stop takes after it.
  steady_clock::duration StopAfter(milliseconds age, milliseconds grace,
                                   const std::function<void()>& meanwhile) {
    Server server = Serve({.max_connection_age = age});
    meanwhile();
    const auto begun = steady_clock::now();
    server.Stop(grace);
    return steady_clock::now() - begun;
  }

  // A client with a connection of its own: C-core's channels to one address share theirs.
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
  std::list<grpc::CallbackGenericService> services_;  // one for each server; they know no method
};

TEST_F(ListenTest, StopsAtOnceWhereNobodyIsConnectedWhateverTheAge) {
  EXPECT_LT(StopAfter(60s, 5s, [] {}), 1s) << "it takes some 10 ms, and 78 s with a client";
}

TEST_F(ListenTest, StopsAtOnceWhenItsClientsHaveGone) {
  EXPECT_LT(StopAfter(60s, 5s, [&] { Connected(); }), 1s);
}

TEST_F(ListenTest, ServesAnIdleClientUntilItsConnectionIsRenewed) {
  std::shared_ptr<grpc::Channel> channel;
  const auto stop = StopAfter(1s, 5s, [&] { channel = Connected(); });
  EXPECT_GT(stop, 100ms) << "the connection lives for 0.9 s at least";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, WaitsForAClientThatNeverLeavesNoLongerThanItMust) {
  // grpc waits for its handshake as for a call.
  const auto stop = StopAfter(200ms, 100ms, [&] { ConnectSilently(); });
  EXPECT_GT(stop, 200ms) << "it is 1.3 ages, which is 260 ms";
  EXPECT_LT(stop, 10s);
}

TEST_F(ListenTest, StopsSoonAfterTheGraceWhateverTheAge) {
  EXPECT_LT(StopAfter(60s, 100ms, [&] { ConnectSilently(); }), 5s) << "it is 1.3 s";
}

TEST_F(ListenTest, TellsThatASuccessorServes) {
  std::promise<void> taken_over;
  Server server = Serve({.allow_takeover = true, .on_taken_over = [&] { taken_over.set_value(); }});
  const Server successor = Serve({.take_over = true});
  taken_over.get_future().wait();
  server.Stop();
  EXPECT_NO_THROW(Diagnose(address_));
}

TEST_F(ListenTest, TellsThatItsFileIsGone) {
  std::promise<void> removed;
  const Server server = Serve({.on_removed = [&] { removed.set_value(); }});
  std::filesystem::remove(address_.path());
  removed.get_future().wait();
}

TEST_F(ListenTest, RefusesASecondServerAndANameThatIsNoSocket) {
  const Server server = Serve();
  EXPECT_THROW(Serve(), InUseError);
  EXPECT_THROW(SocketAddress("server.sock"), AddressError);
}

TEST_F(ListenTest, StopsWhenItIsDestroyedOrReplaced) {
  std::optional<Server> server = Serve();
  EXPECT_NO_THROW(Diagnose(address_));
  server.reset();
  EXPECT_THROW(Diagnose(address_), NoServerError);
}

}  // namespace
}  // namespace samehost
