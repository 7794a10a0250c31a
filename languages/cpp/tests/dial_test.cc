#include "samehost/dial.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <string>

#include "samehost/listen.h"
#include "temporary_folder.h"

namespace samehost {
namespace {

// library.h explains why gRPC must not shut down.
TEST(DialTest, GrpcStaysInitializedAfterTheLastChannel) {
  Dial("/nowhere/server.sock").reset();
  EXPECT_TRUE(grpc_is_initialized());
}

// Has no method and records the :authority of each call.
class AuthorityService final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    authority = context->host();
    return CallbackGenericService::CreateReactor(context);
  }

  std::string authority;
};

void Call(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<void> done;
  grpc::GenericStub(channel).UnaryCall(&context, "/test/Call", {}, &request, &response,
                                       [&](const grpc::Status&) { done.set_value(); });
  done.get_future().wait();
}

TEST(DialTest, SendsLocalhostAsAuthorityByDefault) {
  const TemporaryFolder folder;
  const SocketAddress address(folder.path() / "server.sock");
  AuthorityService service;
  grpc::ServerBuilder builder;
  builder.RegisterCallbackGenericService(&service);
  const Server server = Listen(address, builder);
  Call(Dial(address));
  EXPECT_EQ(service.authority, "localhost");
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "other");
  Call(Dial(address, arguments));
  EXPECT_EQ(service.authority, "other");
}

}  // namespace
}  // namespace samehost
