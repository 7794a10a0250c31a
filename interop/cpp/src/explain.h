#ifndef SAMEHOST_INTEROP_EXPLAIN_H_
#define SAMEHOST_INTEROP_EXPLAIN_H_

#include <grpcpp/support/status.h>

#include "samehost/socket_address.h"

namespace samehost::interop {

// Throws what a failed call means: why the server can't be reached, or else what it answered.
[[noreturn]] void Explain(const grpc::Status& status, const SocketAddress& address);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_EXPLAIN_H_
