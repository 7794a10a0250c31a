#ifndef SAMEHOST_INTEROP_CAME_COMPRESSED_H_
#define SAMEHOST_INTEROP_CAME_COMPRESSED_H_

struct grpc_call;

namespace samehost::interop {

// Whether the message that a call received last came compressed: `context.c_call()` gives the call.
bool CameCompressed(grpc_call* call);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_CAME_COMPRESSED_H_
