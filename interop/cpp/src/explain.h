#ifndef SAMEHOST_INTEROP_EXPLAIN_H_
#define SAMEHOST_INTEROP_EXPLAIN_H_

#include <grpcpp/support/status.h>

#include "samehost/socket_address.h"

namespace samehost::interop {

// Throws the cause of a failed call: an error of Diagnose, or else the status.
[[noreturn]] void Explain(const grpc::Status& status, const SocketAddress& address);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_EXPLAIN_H_
