#include "connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "file_descriptor.h"
#include "samehost/error.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

using Owned = std::unique_ptr<FileDescriptor>;

Owned Valid(int descriptor) {
  if (descriptor < 0) throw Error("cannot open a descriptor");
  return std::make_unique<FileDescriptor>(descriptor);
}

Owned Listening(const fs::path& path) {
  auto listener = Valid(socket(AF_UNIX, SOCK_STREAM, 0));
  if (Bind(listener->get(), path) != 0 || listen(listener->get(), 1) != 0) {
    throw Error("cannot listen on " + path.string());
  }
  return listener;
}

Owned Connected(const fs::path& path) {
  auto client = Valid(socket(AF_UNIX, SOCK_STREAM, 0));
  if (Connect(client->get(), path) != 0) throw Error("cannot connect to " + path.string());
  return client;
}

Owned Accepted(const FileDescriptor& listener) {
  return Valid(accept(listener.get(), nullptr, nullptr));
}

class ConnectionsTest : public ::testing::Test {
 protected:
  // The name is not ASCII.
  fs::path path() const { return folder_.path() / "größer.sock"; }

  const TemporaryFolder folder_;
  const Owned listener_ = Listening(path());
};

TEST_F(ConnectionsTest, AListenerHasNoClient) { EXPECT_FALSE(HasClient(path())); }

TEST_F(ConnectionsTest, FindsAWaitingConnection) {
  auto client = Connected(path());
  EXPECT_TRUE(HasClient(path()));
  client.reset();
  EXPECT_TRUE(HasClient(path())) << "the server has not accepted it yet";
  Accepted(*listener_);
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, FindsAnAcceptedConnectionByTheBoundName) {
  const auto client = Connected(path());
  auto connection = Accepted(*listener_);
  fs::rename(path(), folder_.path() / "public.sock");
  EXPECT_TRUE(HasClient(path()));
  EXPECT_FALSE(HasClient(folder_.path() / "public.sock"));
  connection.reset();
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, IgnoresConnectionsOfOtherSockets) {
  const fs::path other = path().string() + "2";
  const auto listener = Listening(other);
  const auto client = Connected(other);
  EXPECT_FALSE(HasClient(path()));
  const auto connection = Accepted(*listener);
  EXPECT_TRUE(HasClient(other));
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, ReadsTheLongestName) {
  const fs::path longest = path().string().append(kMaxPathBytes - path().string().size(), 'x');
  const auto listener = Listening(longest);
  EXPECT_FALSE(HasClient(longest));
  const auto client = Connected(longest);
  const auto connection = Accepted(*listener);
  EXPECT_TRUE(HasClient(longest));
}

TEST_F(ConnectionsTest, WaitReturnsAtOnceWithoutAClient) {
  const auto started = steady_clock::now();
  WaitForNoClient(path(), 60s);
  EXPECT_LT(steady_clock::now() - started, 1s) << "expected 10 ms";
}

TEST_F(ConnectionsTest, WaitsUntilTheClientDisconnects) {
  const auto client = Connected(path());
  auto connection = Accepted(*listener_);
  const auto started = steady_clock::now();
  std::thread server([&] {
    std::this_thread::sleep_for(100ms);
    connection.reset();
  });
  WaitForNoClient(path(), 60s);
  EXPECT_GE(steady_clock::now() - started, 100ms);
  EXPECT_LT(steady_clock::now() - started, 10s);
  server.join();
}

TEST_F(ConnectionsTest, WaitsNoLongerThanTheLimit) {
  const auto client = Connected(path());
  const auto started = steady_clock::now();
  WaitForNoClient(path(), 100ms);
  EXPECT_GE(steady_clock::now() - started, 100ms);
  EXPECT_LT(steady_clock::now() - started, 10s);
}

}  // namespace
}  // namespace samehost::internal
