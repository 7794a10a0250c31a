#include "greet.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <memory>

#include "explain.h"
#include "samehost/dial.h"
#include "samehost/greeter/v1/greeter.grpc.pb.h"

namespace samehost::interop {
namespace {

using greeter::v1::ConverseRequest;
using greeter::v1::ConverseResponse;
using greeter::v1::GreeterService;
using greeter::v1::GreetInLanguagesRequest;
using greeter::v1::GreetInLanguagesResponse;
using greeter::v1::GreetRequest;
using greeter::v1::GreetResponse;
using greeter::v1::GreetTogetherRequest;
using greeter::v1::GreetTogetherResponse;

class Greeter {
 public:
  Greeter(const SocketAddress& address, std::chrono::milliseconds timeout)
      : address_(address), timeout_(timeout), channel_(Dial(address)) {
    WaitForServer(*channel_, address, timeout);
    stub_ = GreeterService::NewStub(channel_);
  }

  Exchange Greet(const std::string& name) const {
    grpc::ClientContext context;
    Prepare(context);
    GreetRequest request;
    request.set_name(name);
    GreetResponse response;
    Check(stub_->Greet(&context, request, &response));
    return {"Greet", {name}, {response.message()}};
  }

  Exchange GreetInLanguages(const std::string& name) const {
    grpc::ClientContext context;
    Prepare(context);
    GreetInLanguagesRequest request;
    request.set_name(name);
    Exchange exchange{"GreetInLanguages", {name}, {}};
    const auto stream = stub_->GreetInLanguages(&context, request);
    for (GreetInLanguagesResponse response; stream->Read(&response);) {
      exchange.received.push_back(fmt::format("{}: {}", response.language(), response.message()));
    }
    Check(stream->Finish());
    return exchange;
  }

  Exchange GreetTogether(const std::vector<std::string>& names) const {
    grpc::ClientContext context;
    Prepare(context);
    GreetTogetherResponse response;
    const auto stream = stub_->GreetTogether(&context, &response);
    for (const std::string& name : names) {
      GreetTogetherRequest request;
      request.set_name(name);
      if (!stream->Write(request)) break;  // Finish returns the error
    }
    stream->WritesDone();
    Check(stream->Finish());
    return {"GreetTogether", names, {response.message()}};
  }

  // Each request uses the response to the request before.
  Exchange Converse(const std::string& name) const {
    grpc::ClientContext context;
    Prepare(context);
    Exchange exchange{"Converse", {}, {}};
    const auto stream = stub_->Converse(&context);
    const auto send = [&](const std::string& text) {
      ConverseRequest request;
      request.set_text(text);
      ConverseResponse response;
      if (!stream->Write(request) || !stream->Read(&response))
        return false;  // Finish returns the error
      exchange.sent.push_back(text);
      exchange.received.push_back(response.text());
      return true;
    };
    if (send(name + " here.") && send("I heard: " + exchange.received.back())) send("Goodbye!");
    stream->WritesDone();
    Check(stream->Finish());
    return exchange;
  }

 private:
  void Prepare(grpc::ClientContext& context) const {
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    context.set_wait_for_ready(true);
  }

  void Check(const grpc::Status& status) const {
    if (!status.ok()) Explain(status, address_);
  }

  const SocketAddress& address_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<GreeterService::Stub> stub_;
};

}  // namespace

void Greet(const SocketAddress& address, const std::string& name, std::chrono::milliseconds timeout,
           const std::function<void(const Exchange&)>& print) {
  const Greeter greeter(address, timeout);
  print(greeter.Greet(name));
  print(greeter.GreetInLanguages(name));
  print(greeter.GreetTogether({name, "Grace", "Edsger"}));
  print(greeter.Converse(name));
}

}  // namespace samehost::interop
