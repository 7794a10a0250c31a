#include "private_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "file_descriptor.h"
#include "folder.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class PrivateFolderTest : public ::testing::Test {
 protected:
  static void BindSocket(const fs::path& path) {
    const FileDescriptor bound(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(Bind(bound.get(), path), 0);
  }

  // Creates a folder with a socket, as a killed server leaves it.
  fs::path Leave(const std::string& name, fs::perms mode) const {
    const fs::path left = temporary_.path() / name;
    fs::create_directory(left);
    BindSocket(left / "socket");
    fs::permissions(left, mode);
    return left;
  }

  const TemporaryFolder temporary_;
  const Folder parent_{temporary_.path()};
};

TEST_F(PrivateFolderTest, HasMode0700WithAnyUmask) {
  const mode_t before = umask(0777);
  const PrivateFolder folder(parent_, ".prefix");
  umask(before);
  EXPECT_EQ(fs::status(folder / "").permissions(), fs::perms::owner_all);
  EXPECT_THAT(parent_.Names(), ElementsAre(StartsWith(".prefix")));
}

TEST_F(PrivateFolderTest, KeepsTheSetGidBitWithAnyUmask) {
  fs::permissions(temporary_.path(), fs::perms::set_gid, fs::perm_options::add);
  for (const mode_t mask : {0000, 0777}) {
    const mode_t before = umask(mask);
    const PrivateFolder folder(parent_, ".prefix");
    umask(before);
    EXPECT_EQ(fs::status(folder / "").permissions(), fs::perms::owner_all | fs::perms::set_gid);
  }
}

TEST_F(PrivateFolderTest, IsRemovedWithItsSockets) {
  {
    const PrivateFolder folder(parent_, ".prefix");
    BindSocket(folder / "socket");
  }
  EXPECT_THAT(parent_.Names(), IsEmpty());
}

TEST_F(PrivateFolderTest, StaysTheSameWhenAnotherFolderTakesItsPlace) {
  const TemporaryFolder victim;
  {
    const PrivateFolder folder(parent_, ".prefix");
    const std::string name = parent_.Names().front();
    fs::rename(temporary_.path() / name, temporary_.path() / "moved");
    fs::create_directory_symlink(victim.path(), temporary_.path() / name);
    BindSocket(victim.path() / "socket");
    BindSocket(folder / "socket");
    EXPECT_TRUE(fs::exists(temporary_.path() / "moved/socket"));
  }
  EXPECT_TRUE(fs::exists(victim.path() / "socket"));
  EXPECT_FALSE(fs::exists(temporary_.path() / "moved/socket"));
}

TEST_F(PrivateFolderTest, SweepRemovesOnlyPrivateFoldersAndTheSocketsInThem) {
  const fs::path left = Leave(".prefix1", fs::perms::owner_all);
  const fs::path open_to_others = Leave(".prefix2", fs::perms::all);
  const fs::path of_another_socket = Leave(".other", fs::perms::owner_all);
  const fs::path with_a_file = Leave(".prefix3", fs::perms::owner_all);
  std::ofstream(with_a_file / "diary") << "dear diary";
  fs::create_directory_symlink(of_another_socket, temporary_.path() / ".prefix4");
  SweepPrivateFolders(parent_, ".prefix");
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(open_to_others / "socket"));
  EXPECT_TRUE(fs::exists(of_another_socket / "socket"));
  EXPECT_TRUE(fs::exists(with_a_file / "diary"));
}

}  // namespace
}  // namespace samehost::internal
