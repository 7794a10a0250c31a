#ifndef SAMEHOST_INTEROP_WAS_COMPRESSED_H_
#define SAMEHOST_INTEROP_WAS_COMPRESSED_H_

struct grpc_call;

namespace samehost::interop {

// Returns whether the last message that a call received was compressed. `context.c_call()` is the
// call.
bool WasCompressed(grpc_call* call);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_WAS_COMPRESSED_H_
