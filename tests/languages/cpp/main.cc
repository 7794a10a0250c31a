// Serves and calls an echo service with the library: echo serve PATH, echo call PATH TEXT.

#include <samehost/diagnose.h>
#include <samehost/dial.h>
#include <samehost/listen.h>
#include <signal.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include "echo.grpc.pb.h"

namespace {

class EchoServiceImpl final : public echo::v1::EchoService::Service {
  grpc::Status Echo(grpc::ServerContext*, const echo::v1::EchoRequest* request,
                    echo::v1::EchoResponse* response) override {
    response->set_text(request->text());
    return grpc::Status::OK;
  }
};

void Serve(const std::string& path) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);  // before gRPC starts threads, which inherit the mask

  EchoServiceImpl service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  samehost::Server server = samehost::Listen(path, builder);
  std::cout << "listening on " << path << std::endl;

  int signal = 0;
  sigwait(&stop, &signal);
  server.Stop(std::chrono::seconds(5));
}

void Call(const std::string& path, const std::string& text) {
  const auto stub = echo::v1::EchoService::NewStub(samehost::Dial(path));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  context.set_wait_for_ready(true);
  echo::v1::EchoRequest request;
  request.set_text(text);
  echo::v1::EchoResponse response;
  const grpc::Status status = stub->Echo(&context, request, &response);
  if (!status.ok()) {
    samehost::Diagnose(path);  // throws if no server answers
    throw std::runtime_error(status.error_message());
  }
  std::cout << response.text() << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && argv[1] == std::string("serve")) {
      Serve(argv[2]);
    } else if (argc == 4 && argv[1] == std::string("call")) {
      Call(argv[2], argv[3]);
    } else {
      std::cerr << "usage: echo serve PATH | echo call PATH TEXT" << std::endl;
      return 2;
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
