#ifndef SAMEHOST_DIAGNOSIS_H_
#define SAMEHOST_DIAGNOSIS_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "error.h"
#include "socket_address.h"

namespace samehost {

// Why no gRPC server can be reached at the address, found by looking and dialling, in one line with
// the remedy; nothing where one answers. Takes at most a second.
std::optional<std::string> Diagnose(const SocketAddress& address);

// The same, only for what no server that starts later could help.
std::optional<std::string> DiagnoseWhatWaitingCannotCure(const SocketAddress& address);

// What a failed call means: why the server can't be reached, or else what it answered.
Error Explain(const grpc::Status& status, const SocketAddress& address);

}  // namespace samehost

#endif  // SAMEHOST_DIAGNOSIS_H_
