#ifndef SAMEHOST_DIAGNOSE_H_
#define SAMEHOST_DIAGNOSE_H_

#include "samehost/error.h"
#include "samehost/socket_address.h"

namespace samehost {

// Throws why a gRPC library reports UNAVAILABLE for an address, or returns if a gRPC server
// answers. It connects, and waits up to 1 s for the server.
//
// Throws NoServerError, which a server that starts later cures; NotSocketError; NotGrpcError; and
// Error where the system refuses, with std::errc::permission_denied if this process may not
// connect.
void Diagnose(const SocketAddress& address);

// Does what Diagnose does, but does not ask whether the server speaks gRPC: it connects, sends
// nothing, and never waits.
void Probe(const SocketAddress& address);

}  // namespace samehost

#endif  // SAMEHOST_DIAGNOSE_H_
