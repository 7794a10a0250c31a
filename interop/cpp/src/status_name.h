#ifndef SAMEHOST_INTEROP_STATUS_NAME_H_
#define SAMEHOST_INTEROP_STATUS_NAME_H_

#include <grpcpp/support/status_code_enum.h>

#include <array>
#include <string>

namespace samehost::interop {

// Returns the name of a status code. gRPC C++ has no function for it.
inline std::string StatusName(grpc::StatusCode code) {
  constexpr std::array kNames = {"OK",
                                 "CANCELLED",
                                 "UNKNOWN",
                                 "INVALID_ARGUMENT",
                                 "DEADLINE_EXCEEDED",
                                 "NOT_FOUND",
                                 "ALREADY_EXISTS",
                                 "PERMISSION_DENIED",
                                 "RESOURCE_EXHAUSTED",
                                 "FAILED_PRECONDITION",
                                 "ABORTED",
                                 "OUT_OF_RANGE",
                                 "UNIMPLEMENTED",
                                 "INTERNAL",
                                 "UNAVAILABLE",
                                 "DATA_LOSS",
                                 "UNAUTHENTICATED"};
  return code >= 0 && static_cast<std::size_t>(code) < kNames.size() ? kNames.at(code)
                                                                     : std::to_string(code);
}

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_STATUS_NAME_H_
