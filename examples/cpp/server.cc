// A gRPC server on a Unix domain socket: build/server [PATH]

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>
#include <string>

#include "samehost/greeter/v1/greeter.grpc.pb.h"

using samehost::greeter::v1::GreeterService;
using samehost::greeter::v1::GreetRequest;
using samehost::greeter::v1::GreetResponse;

class Greeter final : public GreeterService::Service {
  grpc::Status Greet(grpc::ServerContext*, const GreetRequest* request,
                     GreetResponse* response) override {
    response->set_message("Hello, " + request->name() + "!");
    return grpc::Status::OK;
  }
};

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "/tmp/greeter.sock";
  Greeter greeter;
  grpc::ServerBuilder builder;
  // gRPC replaces a socket that exists at the path.
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&greeter);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;  // gRPC has logged the reason
  std::cout << "listening on " << path << std::endl;
  server->Wait();
}
