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
  if (descriptor < 0) throw Error("the system refused a descriptor");
  return std::make_unique<FileDescriptor>(descriptor);
}

Owned Listening(const fs::path& path) {
  auto listener = Valid(socket(AF_UNIX, SOCK_STREAM, 0));
  if (Bind(listener->get(), path) != 0 || listen(listener->get(), 1) != 0) {
    throw Error("cannot listen at " + path.string());
  }
  return listener;
}

Owned Dialling(const fs::path& path) {
  auto client = Valid(socket(AF_UNIX, SOCK_STREAM, 0));
  if (Connect(client->get(), path) != 0) throw Error("cannot dial " + path.string());
  return client;
}

Owned Accepted(const FileDescriptor& listener) {
  return Valid(accept(listener.get(), nullptr, nullptr));
}

class ConnectionsTest : public ::testing::Test {
 protected:
  // In a file with a name that is not ASCII.
  fs::path path() const { return folder_.path() / "größer.sock"; }

  const TemporaryFolder folder_;
  const Owned listener_ = Listening(path());
};

TEST_F(ConnectionsTest, AListenerAloneHasNone) { EXPECT_FALSE(HasClient(path())); }

TEST_F(ConnectionsTest, OneThatWaitsInTheQueueCounts) {
  auto client = Dialling(path());
  EXPECT_TRUE(HasClient(path()));
  client.reset();
  EXPECT_TRUE(HasClient(path())) << "its server has still to find that it has gone";
  Accepted(*listener_);
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, AnAcceptedOneCountsByTheNameThatWasBound) {
  const auto client = Dialling(path());
  auto connection = Accepted(*listener_);
  fs::rename(path(), folder_.path() / "public.sock");
  EXPECT_TRUE(HasClient(path()));
  EXPECT_FALSE(HasClient(folder_.path() / "public.sock"));
  connection.reset();
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, ThoseOfOtherSocketsDoNotCount) {
  const fs::path other = path().string() + "2";
  const auto listener = Listening(other);
  const auto client = Dialling(other);
  EXPECT_FALSE(HasClient(path()));
  const auto connection = Accepted(*listener);
  EXPECT_TRUE(HasClient(other));
  EXPECT_FALSE(HasClient(path()));
}

TEST_F(ConnectionsTest, TheLongestNameIsReadWhole) {
  const fs::path longest = path().string().append(kMaxPathBytes - path().string().size(), 'x');
  const auto listener = Listening(longest);
  EXPECT_FALSE(HasClient(longest));
  const auto client = Dialling(longest);
  const auto connection = Accepted(*listener);
  EXPECT_TRUE(HasClient(longest));
}

TEST_F(ConnectionsTest, IsNotAwaitedWhereThereIsNone) {
  const auto begun = steady_clock::now();
  AwaitNoClient(path(), 60s);
  EXPECT_LT(steady_clock::now() - begun, 1s) << "it takes 10 ms";
}

TEST_F(ConnectionsTest, IsAwaitedUntilItHasGone) {
  const auto client = Dialling(path());
  auto connection = Accepted(*listener_);
  const auto begun = steady_clock::now();
  std::thread server([&] {
    std::this_thread::sleep_for(100ms);
    connection.reset();
  });
  AwaitNoClient(path(), 60s);
  EXPECT_GE(steady_clock::now() - begun, 100ms);
  EXPECT_LT(steady_clock::now() - begun, 10s);
  server.join();
}

TEST_F(ConnectionsTest, IsAwaitedNoLongerThanAllowed) {
  const auto client = Dialling(path());
  const auto begun = steady_clock::now();
  AwaitNoClient(path(), 100ms);
  EXPECT_GE(steady_clock::now() - begun, 100ms);
  EXPECT_LT(steady_clock::now() - begun, 10s);
}

}  // namespace
}  // namespace samehost::internal
