#ifndef SAMEHOST_INTEROP_GREETER_SERVICE_H_
#define SAMEHOST_INTEROP_GREETER_SERVICE_H_

#include "samehost/greeter/v1/greeter.grpc.pb.h"

namespace samehost::interop {

// The example service on the callback API. A call blocks no thread while it waits.
class GreeterService final : public greeter::v1::GreeterService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Greet(grpc::CallbackServerContext* context,
                                  const greeter::v1::GreetRequest* request,
                                  greeter::v1::GreetResponse* response) override;

  grpc::ServerWriteReactor<greeter::v1::GreetInLanguagesResponse>* GreetInLanguages(
      grpc::CallbackServerContext* context,
      const greeter::v1::GreetInLanguagesRequest* request) override;

  grpc::ServerReadReactor<greeter::v1::GreetTogetherRequest>* GreetTogether(
      grpc::CallbackServerContext* context, greeter::v1::GreetTogetherResponse* response) override;

  grpc::ServerBidiReactor<greeter::v1::ConverseRequest, greeter::v1::ConverseResponse>* Converse(
      grpc::CallbackServerContext* context) override;
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_GREETER_SERVICE_H_
