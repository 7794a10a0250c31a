#include "came_compressed.h"

#include <cstdint>

// No public header of gRPC says how a message came, so this is declared as in grpc/grpc
// src/core/lib/surface/call_test_only.h, which is not installed, though libgrpc exports it. It is
// what gRPC's own interop server and client ask (test/cpp/interop/{server,client}_helper.h).
//
// The public way is to switch off the decompression, with
// GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, and to look at the bytes. But a server can only do
// that for all of its services at once, and those of the library, such as reflection, could then
// read no compressed request any more.
uint32_t grpc_call_test_only_get_message_flags(grpc_call* call);

namespace samehost::interop {
namespace {

// GRPC_WRITE_INTERNAL_TEST_ONLY_WAS_COMPRESSED, from the same place.
constexpr uint32_t kWasCompressed = 0x40000000U;

}  // namespace

bool CameCompressed(grpc_call* call) {
  return (grpc_call_test_only_get_message_flags(call) & kWasCompressed) != 0;
}

}  // namespace samehost::interop
