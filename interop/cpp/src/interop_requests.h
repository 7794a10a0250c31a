#ifndef SAMEHOST_INTEROP_REQUESTS_H_
#define SAMEHOST_INTEROP_REQUESTS_H_

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "samehost/interop/orca_service.pb.h"
#include "samehost/interop/testing.pb.h"

// The requests of the official cases (grpc/grpc doc/interop-test-descriptions.md).
namespace samehost::interop::requests {

inline constexpr int kLargeRequestBytes = 271828;
inline constexpr int kLargeResponseBytes = 314159;
inline const std::vector<int> kRequestBytes = {27182, 8, 1828, 45904};
inline const std::vector<int> kResponseBytes = {31415, 9, 2653, 58979};

inline constexpr int kCompressedRequestBytes = 27182;
inline constexpr int kPlainRequestBytes = 45904;
inline constexpr int kCompressedResponseBytes = 31415;
inline constexpr int kPlainResponseBytes = 92653;

using Metadatum = std::pair<std::string, std::string>;
inline const Metadatum kEchoInitial = {"x-grpc-test-echo-initial", "test_initial_metadata_value"};
inline const Metadatum kEchoTrailing = {"x-grpc-test-echo-trailing-bin", "\xab\xab\xab"};
// Metadata of cacheable_unary, because some proxies cache nothing for clients on their own host.
inline const Metadatum kUserIp = {"x-user-ip", "1.2.3.4"};

inline constexpr int kConcurrentCalls = 1000;

// The number of calls that must reach the same server. The description names no number, and grpc-go
// and grpc-java use this one.
inline constexpr int kPickFirstCalls = 100;

grpc::testing::SimpleRequest Large();
grpc::testing::SimpleRequest LargeExpecting(bool compressed);
grpc::testing::SimpleRequest LargeResponseCompressed(bool compressed);

// A unique request: its payload is the current time.
grpc::testing::SimpleRequest Cacheable();

grpc::testing::EchoStatus Status();
grpc::testing::EchoStatus SpecialStatus();

grpc::testing::StreamingInputCallRequest Input(int size);
grpc::testing::StreamingInputCallRequest InputExpecting(int size, bool compressed);

grpc::testing::StreamingOutputCallRequest Output(const std::vector<int>& sizes);
grpc::testing::StreamingOutputCallRequest OutputWithPayload(int request_size, int response_size);

// The request of server_compressed_streaming.
grpc::testing::StreamingOutputCallRequest CompressedOutput();

// A request that gets no response, because it requests none.
grpc::testing::StreamingOutputCallRequest Sleeper();

grpc::testing::TestOrcaReport ReportOfCall();
std::vector<grpc::testing::TestOrcaReport> ReportsOutOfBand();

// A request that sets the report out of band. Its response confirms that the report is set.
grpc::testing::StreamingOutputCallRequest Reporting(const grpc::testing::TestOrcaReport& report);

// Requests a report ten times a second.
xds::service::orca::v3::OrcaLoadReportRequest Listening();

}  // namespace samehost::interop::requests

#endif  // SAMEHOST_INTEROP_REQUESTS_H_
