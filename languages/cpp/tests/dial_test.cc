#include "dial.h"

#include <grpc/grpc.h>
#include <gtest/gtest.h>

namespace samehost {
namespace {

// See library.h for what it costs to stop gRPC.
TEST(DialTest, GrpcOutlivesTheLastChannel) {
  Dial(SocketAddress::Parse("/nowhere/server.sock")).reset();
  EXPECT_TRUE(grpc_is_initialized());
}

}  // namespace
}  // namespace samehost
