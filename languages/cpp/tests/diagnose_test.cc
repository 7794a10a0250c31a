#include "samehost/diagnose.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "file_descriptor.h"
#include "socket_probe.h"
#include "temporary_folder.h"

namespace samehost {
namespace {

class DiagnoseTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  const SocketAddress address_{folder_.path() / "server.sock"};
  const internal::FileDescriptor listener_{socket(AF_UNIX, SOCK_STREAM, 0)};
};

TEST_F(DiagnoseTest, ThrowsNoServerErrorForAMissingOrStaleSocket) {
  EXPECT_THROW(Diagnose(address_), NoServerError);
  ASSERT_EQ(internal::Bind(listener_.get(), address_.path()), 0);
  EXPECT_THROW(Diagnose(address_), NoServerError);
}

TEST_F(DiagnoseTest, ThrowsNotSocketErrorForAFile) {
  std::ofstream(address_.path()).flush();
  EXPECT_THROW(Diagnose(address_), NotSocketError);
}

TEST_F(DiagnoseTest, ThrowsNotGrpcErrorForASilentServer) {
  ASSERT_EQ(internal::Bind(listener_.get(), address_.path()), 0);
  ASSERT_EQ(listen(listener_.get(), 1), 0);
  EXPECT_NO_THROW(Probe(address_));
  EXPECT_THROW(Diagnose(address_), NotGrpcError);
}

}  // namespace
}  // namespace samehost
