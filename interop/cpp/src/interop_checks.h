#ifndef SAMEHOST_INTEROP_CHECKS_H_
#define SAMEHOST_INTEROP_CHECKS_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "interop_requests.h"
#include "samehost/interop/orca_load_report.pb.h"
#include "samehost/interop/testing.pb.h"

// The assertions of the official cases. Each failure is one line with the expected and the actual
// value.
namespace samehost::interop::checks {

// The result of a case is not as the case describes.
class CaseFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void Equal(const std::string& what, bool got, bool expected);
void Equal(const std::string& what, long got, long expected);
void Equal(const std::string& what, const std::string& got, const std::string& expected);
void Equal(const std::string& what, const std::vector<int>& got, const std::vector<int>& expected);

// The call succeeded.
void Ok(const grpc::Status& status);

// The call ended with this code and, if one is given, this message.
void HasStatus(const grpc::Status& status, grpc::StatusCode code,
               const std::optional<std::string>& message = std::nullopt);

// The call ended with the status that it requested.
void HasStatus(const grpc::Status& status, const grpc::testing::EchoStatus& expected);

// The response has the payload of large_unary.
void Large(const grpc::testing::SimpleResponse& response);

// The stream returned a response with a payload of this size.
void Output(bool received, const grpc::testing::StreamingOutputCallResponse& response, int size);

// The stream returned exactly the responses of these sizes in order.
void Outputs(const std::vector<grpc::testing::StreamingOutputCallResponse>& responses,
             const std::vector<int>& sizes);

// The stream ended.
void End(bool received, const grpc::testing::StreamingOutputCallResponse& response);

// The server returned the initial and the trailing metadata, each once.
void Echoes(const grpc::ClientContext& context);

// All calls reached the same server, and its id is not empty.
void SameServer(const std::vector<std::string>& ids);

// The trailing metadata has the load report that the call requested.
void ReportedWithCall(const grpc::ClientContext& context);

bool Same(const xds::data::orca::v3::OrcaLoadReport& one,
          const xds::data::orca::v3::OrcaLoadReport& other);

}  // namespace samehost::interop::checks

#endif  // SAMEHOST_INTEROP_CHECKS_H_
