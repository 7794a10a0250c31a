#ifndef SAMEHOST_INTEROP_SERVICE_H_
#define SAMEHOST_INTEROP_SERVICE_H_

#include <string>

#include "orca.h"
#include "samehost/interop/testing.grpc.pb.h"
#include "turns.h"

namespace samehost::interop {

// The longest message in both directions. It is the default of gRPC for received messages.
inline constexpr int kMaxMessageBytes = 4 * 1024 * 1024;

// The service under test (grpc/grpc doc/interop-test-descriptions.md). UnimplementedCall stays in
// the generated base class, because it must return UNIMPLEMENTED.
class InteropService final : public grpc::testing::TestService::CallbackService {
 public:
  explicit InteropService(CurrentLoadReport& current);

  grpc::ServerUnaryReactor* EmptyCall(grpc::CallbackServerContext* context,
                                      const grpc::testing::Empty* request,
                                      grpc::testing::Empty* response) override;

  grpc::ServerUnaryReactor* UnaryCall(grpc::CallbackServerContext* context,
                                      const grpc::testing::SimpleRequest* request,
                                      grpc::testing::SimpleResponse* response) override;

  grpc::ServerUnaryReactor* CacheableUnaryCall(grpc::CallbackServerContext* context,
                                               const grpc::testing::SimpleRequest* request,
                                               grpc::testing::SimpleResponse* response) override;

  grpc::ServerWriteReactor<grpc::testing::StreamingOutputCallResponse>* StreamingOutputCall(
      grpc::CallbackServerContext* context,
      const grpc::testing::StreamingOutputCallRequest* request) override;

  grpc::ServerReadReactor<grpc::testing::StreamingInputCallRequest>* StreamingInputCall(
      grpc::CallbackServerContext* context,
      grpc::testing::StreamingInputCallResponse* response) override;

  grpc::ServerBidiReactor<grpc::testing::StreamingOutputCallRequest,
                          grpc::testing::StreamingOutputCallResponse>*
  FullDuplexCall(grpc::CallbackServerContext* context) override;

  grpc::ServerBidiReactor<grpc::testing::StreamingOutputCallRequest,
                          grpc::testing::StreamingOutputCallResponse>*
  HalfDuplexCall(grpc::CallbackServerContext* context) override;

 private:
  const std::string host_name_;
  const std::string server_id_;
  CurrentLoadReport& current_load_report_;
  // Only one client at a time may set the report, because the server has a single report.
  Turns load_report_turns_;
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_SERVICE_H_
