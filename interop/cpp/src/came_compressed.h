#ifndef SAMEHOST_CAME_COMPRESSED_H_
#define SAMEHOST_CAME_COMPRESSED_H_

struct grpc_call;

namespace samehost {

// Whether the message that a call received last came compressed: `context.c_call()` gives the call.
bool CameCompressed(grpc_call* call);

}  // namespace samehost

#endif  // SAMEHOST_CAME_COMPRESSED_H_
