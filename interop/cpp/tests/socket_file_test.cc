#include "socket_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <set>

#include "error.h"
#include "file_descriptor.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SocketFileTest : public ::testing::Test {
 protected:
  SocketAddress address() const { return SocketAddress::Parse(path()); }
  std::string path() const { return folder_.path() / "server.sock"; }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      names.insert(entry.path().filename());
    return names;
  }

  static void BindAndListen(int socket, const fs::path& path) {
    ASSERT_EQ(Bind(socket, path), 0);
    ASSERT_EQ(listen(socket, 1), 0);
  }

  std::string Refusal() const {
    try {
      SocketFile(address(), "test");
    } catch (const Error& error) {
      return error.what();
    }
    return "not refused";
  }

  // Waits for a successor to say something.
  static bool AnswerNext(SocketFile& file) {
    constexpr int kPatienceMilliseconds = 10'000;
    pollfd successor{file.successor_descriptor(), POLLIN, 0};
    if (poll(&successor, 1, kPatienceMilliseconds) != 1) throw Error("no successor says anything");
    return file.AnswerSuccessor();
  }

  const TemporaryFolder folder_;
  const FileDescriptor listener_{socket(AF_UNIX, SOCK_STREAM, 0)};
};

TEST_F(SocketFileTest, PublishesWithItsModeAndLeavesOnlyTheLock) {
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  EXPECT_EQ(ProbePath(address()), PathState::kAbsent);
  file.Publish(0600, std::nullopt);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_THAT(Names(),
              UnorderedElementsAre("server.sock", "server.sock.lock", "server.sock.takeover"));
  file.Withdraw();
  EXPECT_THAT(Names(), UnorderedElementsAre("server.sock.lock"));
}

TEST_F(SocketFileTest, LetsNobodyElseIntoThePrivateFolder) {
  const SocketFile file(address(), "test");
  EXPECT_EQ(fs::status(file.private_path().parent_path()).permissions(), fs::perms::owner_all);
}

TEST_F(SocketFileTest, ReplacesAStaleSocketAndWhatAKilledServerLeft) {
  {
    const FileDescriptor killed(socket(AF_UNIX, SOCK_STREAM, 0));
    BindAndListen(killed.get(), path());
  }
  fs::path left;
  {
    const SocketFile file(address(), "test");
    left = file.private_path();
  }
  fs::create_directory(left.parent_path());
  {
    const FileDescriptor killed(socket(AF_UNIX, SOCK_STREAM, 0));
    BindAndListen(killed.get(), left);
  }
  ASSERT_EQ(ProbePath(address()), PathState::kStale);
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  file.Publish(0660, std::nullopt);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
}

TEST_F(SocketFileTest, RefusesALockedPath) {
  const SocketFile file(address(), "test");
  EXPECT_THAT(Refusal(), HasSubstr(path() + " has a server already: test, process "));
}

TEST_F(SocketFileTest, RefusesALivePathWithoutALock) {
  BindAndListen(listener_.get(), path());
  EXPECT_THAT(Refusal(), HasSubstr("someone answers there without holding"));
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
}

TEST_F(SocketFileTest, RefusesWhatIsNoSocket) {
  std::ofstream(path()) << "dear diary";
  EXPECT_THAT(Refusal(), HasSubstr("is not a socket"));
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(SocketFileTest, RefusesALockFileThatIsSomebodysData) {
  std::ofstream(path() + ".lock") << "versions = 1\n";
  EXPECT_THAT(Refusal(), HasSubstr("holds something else"));
  EXPECT_EQ(fs::file_size(path() + ".lock"), 13);
}

TEST_F(SocketFileTest, LeavesAloneWhatHasTakenItsPlace) {
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  file.Publish(0660, std::nullopt);
  fs::remove(path());
  std::ofstream(path()) << "dear diary";
  file.Withdraw();
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(SocketFileTest, NoticesThatItsFileIsGone) {
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  file.Publish(0660, std::nullopt);
  EXPECT_FALSE(file.IsLost());
  fs::remove(path());
  EXPECT_TRUE(file.IsLost());
}

TEST_F(SocketFileTest, HandsThePathOverToASuccessor) {
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  file.Publish(0660, std::nullopt);
  auto succeeding = std::async(std::launch::async, [this] {
    auto successor = std::make_unique<SocketFile>(address(), "test", /*take_over=*/true);
    const FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM, 0));
    BindAndListen(listener.get(), successor->private_path());
    successor->Publish(0660, std::nullopt);
    return successor;
  });
  while (!AnswerNext(file)) EXPECT_FALSE(file.IsLost());
  const auto successor = succeeding.get();
  file.Withdraw();
  EXPECT_FALSE(successor->IsLost());
  EXPECT_THAT(Refusal(), HasSubstr("has a server already"));
}

TEST_F(SocketFileTest, TakesTheLockAgainWhenItsSuccessorGivesUp) {
  SocketFile file(address(), "test");
  BindAndListen(listener_.get(), file.private_path());
  file.Publish(0660, std::nullopt);
  {
    const FileDescriptor successor(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(Connect(successor.get(), path() + ".takeover"), 0);
    EXPECT_FALSE(AnswerNext(file));
    EXPECT_THAT(Refusal(), HasSubstr("without holding"));
  }
  EXPECT_FALSE(AnswerNext(file));
  EXPECT_THAT(Refusal(), HasSubstr("has a server already: test, process "));
}

TEST_F(SocketFileTest, RefusesAForeignFileWhereItWouldListenForASuccessor) {
  std::ofstream(path() + ".takeover") << "dear diary";
  EXPECT_THAT(Refusal(), HasSubstr(".takeover is needed to hand"));
  EXPECT_TRUE(fs::is_regular_file(path() + ".takeover"));
}

TEST_F(SocketFileTest, FitsThePrivatePathBesideTheLongestOne) {
  const std::size_t room =
      kMaxPathBytes - folder_.path().string().size() - std::string("//x.sock").size();
  const fs::path deep = folder_.path() / std::string(room, 'd');
  fs::create_directory(deep);
  const auto longest = SocketAddress::Parse(deep / "x.sock");
  ASSERT_EQ(longest.path().string().size(), kMaxPathBytes);
  const SocketFile file(longest, "test");
  EXPECT_LE(file.private_path().string().size(), kMaxPathBytes);
}

}  // namespace
}  // namespace samehost
