// A gRPC client on a Unix domain socket: build/client PATH NAME

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <string>

#include "samehost/greeter/v1/greeter.grpc.pb.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string path = argv[1];
  grpc::ChannelArguments arguments;
  // Newer releases of gRPC send the path as :authority, which servers in C# and Rust refuse.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  const auto channel =
      grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
  const auto greeter = samehost::greeter::v1::GreeterService::NewStub(channel);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  samehost::greeter::v1::GreetRequest request;
  request.set_name(argv[2]);
  samehost::greeter::v1::GreetResponse response;
  const grpc::Status status = greeter->Greet(&context, request, &response);
  if (!status.ok()) {
    std::cerr << status.error_message() << std::endl;
    return 1;
  }
  std::cout << response.message() << std::endl;
}
