#include "socket_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <set>

#include "file_descriptor.h"
#include "private_folder.h"
#include "samehost/error.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class SocketFileTest : public ::testing::Test {
 protected:
  SocketAddress address() const { return SocketAddress(path()); }
  std::string path() const { return folder_.path() / name_; }

  // Uses a name so long that the path with the suffix has the longest length of a socket.
  void UseTheLongestName(const std::string& suffix) {
    const std::size_t taken = folder_.path().string().size() + std::string("/").size();
    name_ = std::string(kMaxPathBytes - taken - suffix.size(), 's');
  }

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

  // Fails unless a new server throws this kind of error with the path and the fragment.
  template <typename Kind>
  void ExpectRefusal(const std::string& fragment = "") const {
    try {
      SocketFile(address(), options_);
      ADD_FAILURE() << "the server was not refused";
    } catch (const Kind& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path()), HasSubstr(fragment)));
    }
  }

  void Serve(SocketFile& file) const {
    BindAndListen(listener_.get(), file.private_path());
    file.Publish();
  }

  // Waits for a successor and answers it once, as a server does.
  static bool AnswerNext(SocketFile& file) {
    pollfd successor{file.successor_descriptor(), POLLIN, 0};
    poll(&successor, 1, static_cast<int>(file.poll_time().count()));
    return file.AnswerSuccessor(successor.revents != 0);
  }

  // Answers until the lock is held, or until it is free.
  void AnswerUntil(SocketFile& file, bool locked) const {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (IsLocked() != locked) {
      if (std::chrono::steady_clock::now() > end)
        throw Error(locked ? "the lock is still free" : "the lock is still held");
      EXPECT_FALSE(AnswerNext(file));
    }
  }

  bool IsLocked() const {
    const FileDescriptor lock(open((path() + ".lock").c_str(), O_RDWR));
    return flock(lock.get(), LOCK_EX | LOCK_NB) != 0;
  }

  // Connects as a successor.
  FileDescriptor ConnectSuccessor() const {
    FileDescriptor successor(socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(Connect(successor.get(), path() + ".takeover"), 0);
    return successor;
  }

  // Starts a successor that takes over in another thread.
  std::future<std::unique_ptr<SocketFile>> StartTakeover() const {
    return std::async(std::launch::async, [this] {
      auto successor = std::make_unique<SocketFile>(
          address(), ListenOptions{.owner = "test", .take_over = true});
      const FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM, 0));
      BindAndListen(listener.get(), successor->private_path());
      successor->Publish();
      return successor;
    });
  }

  static void MakeStale(const fs::path& path) {
    const FileDescriptor killed(socket(AF_UNIX, SOCK_STREAM, 0));
    BindAndListen(killed.get(), path);
  }

  // The path is shorter than /proc/self/fd/3, so that a path through the open folder is longer.
  const TemporaryFolder folder_{"s"};
  const ListenOptions options_{.owner = "test", .allow_takeover = true};
  std::string name_ = "server.sock";
  const FileDescriptor listener_{socket(AF_UNIX, SOCK_STREAM, 0)};
};

TEST_F(SocketFileTest, PublishesWithItsModeAndLeavesOnlyTheLock) {
  SocketFile file(address(), {.mode = 0600, .allow_takeover = true});
  BindAndListen(listener_.get(), file.private_path());
  EXPECT_EQ(ProbePath(address()), PathState::kAbsent);
  file.Publish();
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_THAT(Names(),
              UnorderedElementsAre("server.sock", "server.sock.lock", "server.sock.takeover"));
  file.Withdraw();
  EXPECT_THAT(Names(), UnorderedElementsAre("server.sock.lock"));
}

TEST_F(SocketFileTest, ReplacesTheFilesOfAKilledServer) {
  MakeStale(path());
  const fs::path left = folder_.path() / (PrivatePrefix(path()) + "00000000");
  fs::create_directory(left);
  fs::permissions(left, fs::perms::owner_all);
  MakeStale(left / "abcd");
  ASSERT_EQ(ProbePath(address()), PathState::kStale);
  SocketFile file(address(), options_);
  Serve(file);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(SocketFileTest, RefusesAFileThatAppearedDuringTheStart) {
  MakeStale(path());
  SocketFile file(address(), options_);
  BindAndListen(listener_.get(), file.private_path());
  fs::remove(path());
  MakeStale(path());  // often gets the same inode
  EXPECT_THROW(file.Publish(), InUseError);
  file.Withdraw();
  EXPECT_THAT(Names(), UnorderedElementsAre("server.sock", "server.sock.lock"));
}

TEST_F(SocketFileTest, PublishesAfterAStaleSocketWasRemoved) {
  MakeStale(path());
  SocketFile file(address(), options_);
  fs::remove(path());
  Serve(file);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
}

TEST_F(SocketFileTest, RefusesAFolderThatEveryUserMayWriteToUnlessItIsTrusted) {
  fs::permissions(folder_.path(), fs::perms::all);
  ExpectRefusal<UnsafeFolderError>();
  EXPECT_THAT(Names(), UnorderedElementsAre());
  std::string warning;
  SocketFile(address(), {.trust_folder = true, .on_warning = [&](auto& text) { warning = text; }});
  EXPECT_THAT(warning, HasSubstr(path()));
  fs::permissions(folder_.path(), fs::perms::all | fs::perms::sticky_bit);
  SocketFile(address(), options_);
}

TEST_F(SocketFileTest, ServesInTheOpenFolderAfterItWasMoved) {
  SocketFile file(address(), options_);
  const fs::path moved = folder_.path().string() + "-moved";
  fs::rename(folder_.path(), moved);
  fs::create_directory(folder_.path());
  Serve(file);
  EXPECT_TRUE(fs::is_socket(moved / "server.sock"));
  EXPECT_THAT(Names(), UnorderedElementsAre());
  EXPECT_TRUE(file.IsLost());
  file.Withdraw();
  fs::remove_all(moved);
}

TEST_F(SocketFileTest, RefusesALockedPath) {
  const SocketFile file(address(), options_);
  ExpectRefusal<InUseError>("test, process ");
}

TEST_F(SocketFileTest, RefusesALivePathWithoutALock) {
  BindAndListen(listener_.get(), path());
  ExpectRefusal<InUseError>("does not hold");
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
}

TEST_F(SocketFileTest, RefusesAFileThatIsNotASocket) {
  std::ofstream(path()) << "dear diary";
  ExpectRefusal<NotSocketError>();
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(SocketFileTest, RefusesALockFileWithOtherData) {
  std::ofstream(path() + ".lock") << "versions = 1\n";
  ExpectRefusal<LockFileError>("data");
  EXPECT_EQ(fs::file_size(path() + ".lock"), 13);
}

TEST_F(SocketFileTest, SetsTheModeOfALockFileThatOthersMayOpen) {
  std::ofstream(path() + ".lock").flush();
  fs::permissions(path() + ".lock", fs::perms::all);
  SocketFile(address(), options_);
  EXPECT_EQ(fs::status(path() + ".lock").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(SocketFileTest, RefusesALockFileThatIsNotARegularFileWithOneName) {
  const std::string lock = path() + ".lock";
  const fs::path other = folder_.path() / "other";
  std::ofstream(other).flush();
  fs::create_symlink(other, lock);
  ExpectRefusal<LockFileError>("regular");
  fs::remove(lock);
  fs::create_hard_link(other, lock);
  ExpectRefusal<LockFileError>("regular");
  fs::remove(lock);
  ASSERT_EQ(mkfifo(lock.c_str(), 0600), 0);
  ExpectRefusal<LockFileError>("regular");
  EXPECT_EQ(fs::file_size(other), 0);
}

TEST_F(SocketFileTest, KeepsAFileThatReplacedItsSocket) {
  SocketFile file(address(), options_);
  Serve(file);
  fs::remove(path());
  std::ofstream(path()) << "dear diary";
  file.Withdraw();
  EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(SocketFileTest, NoticesThatItsSocketWasRemoved) {
  SocketFile file(address(), options_);
  Serve(file);
  EXPECT_FALSE(file.IsLost());
  fs::remove(path());
  EXPECT_TRUE(file.IsLost());
}

TEST_F(SocketFileTest, HandsOverToASuccessor) {
  SocketFile file(address(), options_);
  Serve(file);
  auto takeover = StartTakeover();
  while (!AnswerNext(file)) EXPECT_FALSE(file.IsLost());
  const auto successor = takeover.get();
  file.Withdraw();
  EXPECT_FALSE(successor->IsLost());
  ExpectRefusal<InUseError>("test, process ");
}

TEST_F(SocketFileTest, LocksAgainWhenItsSuccessorDisconnects) {
  SocketFile file(address(), options_);
  Serve(file);
  {
    const FileDescriptor successor = ConnectSuccessor();
    AnswerUntil(file, /*locked=*/false);
    ExpectRefusal<InUseError>("does not hold");
  }
  AnswerUntil(file, /*locked=*/true);
  ExpectRefusal<InUseError>("test, process ");
}

TEST_F(SocketFileTest, LocksAgainWhenItsSuccessorSendsInvalidData) {
  SocketFile file(address(), options_);
  Serve(file);
  for (const std::string& rubbish :
       {std::string(4000, '[') + "\n", std::string("\xff\n"), std::string(5000, 'x')}) {
    const FileDescriptor successor = ConnectSuccessor();
    AnswerUntil(file, /*locked=*/false);
    send(successor.get(), rubbish.data(), rubbish.size(), MSG_NOSIGNAL);
    AnswerUntil(file, /*locked=*/true);
  }
}

TEST_F(SocketFileTest, LocksAgainWhenItsSuccessorIsSilentAndHoldsNoLock) {
  SocketFile file(address(), options_);
  Serve(file);
  const FileDescriptor successor = ConnectSuccessor();
  AnswerUntil(file, /*locked=*/false);
  AnswerUntil(file, /*locked=*/true);
}

TEST_F(SocketFileTest, AnswersASuccessorWhenADescriptorIsFree) {
  SocketFile file(address(), options_);
  Serve(file);
  const FileDescriptor successor = ConnectSuccessor();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_FALSE(AnswerNext(file));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(IsLocked());
  AnswerUntil(file, /*locked=*/false);
}

TEST_F(SocketFileTest, RestoresItsNamesWhenItsSuccessorDies) {
  SocketFile file(address(), options_);
  Serve(file);
  {
    const FileDescriptor successor = ConnectSuccessor();
    AnswerUntil(file, /*locked=*/false);
    for (const std::string& name : {path(), path() + ".takeover"}) {
      fs::remove(name);
      MakeStale(name);
    }
  }
  AnswerUntil(file, /*locked=*/true);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
  EXPECT_FALSE(file.IsLost());
  EXPECT_THAT(Names(),
              UnorderedElementsAre("server.sock", "server.sock.lock", "server.sock.takeover"));
  const FileDescriptor next = ConnectSuccessor();
  AnswerUntil(file, /*locked=*/false);
}

TEST_F(SocketFileTest, KeepsTheNamesOfASuccessorThatHoldsTheLock) {
  SocketFile file(address(), options_);
  Serve(file);
  const FileDescriptor successor = ConnectSuccessor();
  AnswerUntil(file, /*locked=*/false);
  const FileDescriptor lock(open((path() + ".lock").c_str(), O_RDWR));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  file.Withdraw();
  EXPECT_TRUE(fs::exists(path()));
}

TEST_F(SocketFileTest, RemovesItsNamesWhenItsSuccessorHoldsNoLock) {
  SocketFile file(address(), options_);
  Serve(file);
  const FileDescriptor successor = ConnectSuccessor();
  AnswerUntil(file, /*locked=*/false);
  file.Withdraw();
  EXPECT_THAT(Names(), UnorderedElementsAre("server.sock.lock"));
}

TEST_F(SocketFileTest, TakesOverWithoutALockFile) {
  SocketFile file(address(), options_);
  Serve(file);
  fs::remove(path() + ".lock");
  auto takeover = StartTakeover();
  while (!AnswerNext(file)) EXPECT_FALSE(file.IsLost());
  file.Withdraw();
  EXPECT_FALSE(takeover.get()->IsLost());
}

TEST_F(SocketFileTest, ConnectsToARunningServerWithoutHoldingTheLock) {
  SocketFile file(address(), options_);
  Serve(file);
  {
    const FileDescriptor failing = ConnectSuccessor();
    AnswerUntil(file, /*locked=*/false);
  }
  // The server has not noticed the failure yet. It locks again before it answers the next
  // successor.
  auto takeover = StartTakeover();
  while (!AnswerNext(file)) EXPECT_FALSE(file.IsLost());
  file.Withdraw();
  EXPECT_FALSE(takeover.get()->IsLost());
}

TEST_F(SocketFileTest, StopsWaitingWhenItIsCancelled) {
  SocketFile file(address(), options_);
  Serve(file);
  std::stop_source cancel;
  auto takeover = std::async(std::launch::async, [&] {
    SocketFile(address(), {.take_over = true, .cancel = cancel.get_token()});
  });
  EXPECT_EQ(takeover.wait_for(100ms), std::future_status::timeout) << "no server answers it";
  cancel.request_stop();
  EXPECT_THROW(takeover.get(), CancelledError);
}

TEST_F(SocketFileTest, RefusesAForeignFileAtTheControlPath) {
  std::ofstream(path() + ".takeover") << "dear diary";
  ExpectRefusal<NotSocketError>(".takeover");
  EXPECT_TRUE(fs::is_regular_file(path() + ".takeover"));
}

TEST_F(SocketFileTest, ServesAtTheLongestPath) {
  const std::size_t room =
      kMaxPathBytes - folder_.path().string().size() - std::string("//x.sock").size();
  const fs::path deep = folder_.path() / std::string(room, 'd');
  fs::create_directory(deep);
  const auto longest = SocketAddress(deep / "x.sock");
  ASSERT_EQ(longest.path().string().size(), kMaxPathBytes);
  SocketFile file(longest, options_);
  Serve(file);
  EXPECT_EQ(ProbePath(longest), PathState::kLive);
}

TEST_F(SocketFileTest, ReplacesAStaleSocketOfTheLongestName) {
  UseTheLongestName("");
  MakeStale(path());
  SocketFile file(address(), options_);
  Serve(file);
  EXPECT_EQ(ProbePath(address()), PathState::kLive);
}

TEST_F(SocketFileTest, RefusesALivePathOfTheLongestName) {
  UseTheLongestName("");
  BindAndListen(listener_.get(), path());
  ExpectRefusal<InUseError>("does not hold");
}

TEST_F(SocketFileTest, HandsOverTheLongestNameAfterASuccessorDied) {
  UseTheLongestName(".takeover");
  SocketFile file(address(), options_);
  Serve(file);
  {
    const FileDescriptor failing = ConnectSuccessor();
    AnswerUntil(file, /*locked=*/false);
    for (const std::string& name : {path(), path() + ".takeover"}) {
      fs::remove(name);
      MakeStale(name);
    }
  }
  AnswerUntil(file, /*locked=*/true);
  EXPECT_FALSE(file.IsLost());
  auto takeover = StartTakeover();
  while (!AnswerNext(file)) EXPECT_FALSE(file.IsLost());
  const auto successor = takeover.get();
  file.Withdraw();
  EXPECT_FALSE(successor->IsLost());
}

}  // namespace
}  // namespace samehost::internal
