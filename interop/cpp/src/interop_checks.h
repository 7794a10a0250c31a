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

// What the official cases assert. Each failure is one line: expected and got.
namespace samehost::interop::checks {

// A case that did not go as the description says.
class CaseFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void Equal(const std::string& what, bool got, bool expected);
void Equal(const std::string& what, long got, long expected);
void Equal(const std::string& what, const std::string& got, const std::string& expected);
void Equal(const std::string& what, const std::vector<int>& got, const std::vector<int>& expected);

// A call that ends well.
void Ok(const grpc::Status& status);

// A call that ends with this status, and this message where one is given.
void HasStatus(const grpc::Status& status, grpc::StatusCode code,
               const std::optional<std::string>& message = std::nullopt);

// A call that ends with the status that it asked for.
void HasStatus(const grpc::Status& status, const grpc::testing::EchoStatus& expected);

// The response of large_unary.
void Large(const grpc::testing::SimpleResponse& response);

// A response of a stream that is there and has a payload of this size.
void Output(bool received, const grpc::testing::StreamingOutputCallResponse& response, int size);

// A stream with exactly the responses of these sizes, in order.
void Outputs(const std::vector<grpc::testing::StreamingOutputCallResponse>& responses,
             const std::vector<int>& sizes);

// The end of a stream.
void End(bool received, const grpc::testing::StreamingOutputCallResponse& response);

// Both pieces of metadata came back, each once and where it belongs.
void Echoes(const grpc::ClientContext& context);

// All calls reached one server, and it has a name.
void SameServer(const std::vector<std::string>& ids);

// The call's trailers have the load report that it asked for.
void ReportedWithCall(const grpc::ClientContext& context);

bool Same(const xds::data::orca::v3::OrcaLoadReport& one,
          const xds::data::orca::v3::OrcaLoadReport& other);

}  // namespace samehost::interop::checks

#endif  // SAMEHOST_INTEROP_CHECKS_H_
