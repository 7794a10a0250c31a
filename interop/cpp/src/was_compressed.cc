#include "was_compressed.h"

#include <cstdint>

// No public header of gRPC reports whether a message was compressed. libgrpc exports this function
// of grpc/grpc src/core/lib/surface/call_test_only.h, but does not install the header. The interop
// programs of gRPC call it, too (test/cpp/interop/{server,client}_helper.h).
//
// The public alternative is to turn off decompression with
// GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION and to inspect the bytes. But a server can turn it off
// only for all services, and then the services of gRPC, such as reflection, could not read a
// compressed request.
uint32_t grpc_call_test_only_get_message_flags(grpc_call* call);

namespace samehost::interop {
namespace {

// GRPC_WRITE_INTERNAL_TEST_ONLY_WAS_COMPRESSED in the same header.
constexpr uint32_t kWasCompressed = 0x40000000U;

}  // namespace

bool WasCompressed(grpc_call* call) {
  return (grpc_call_test_only_get_message_flags(call) & kWasCompressed) != 0;
}

}  // namespace samehost::interop
