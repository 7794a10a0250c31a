#ifndef SAMEHOST_DIAGNOSE_H_
#define SAMEHOST_DIAGNOSE_H_

#include "samehost/error.h"
#include "samehost/socket_address.h"

namespace samehost {

// Finds out why a call to an address fails with UNAVAILABLE. Connects and waits up to 1 s for the
// server. Returns if a gRPC server answers, and otherwise throws the cause:
//
// - NoServerError: no server listens. A server that starts later resolves it.
// - NotSocketError: the path is not a socket.
// - NotGrpcError: the server does not speak HTTP/2.
// - Error: the system refuses access. The code is std::errc::permission_denied if this process may
//   not connect.
void Diagnose(const SocketAddress& address);

// Does the same without the check for HTTP/2: connects, sends nothing and never waits.
void Probe(const SocketAddress& address);

}  // namespace samehost

#endif  // SAMEHOST_DIAGNOSE_H_
