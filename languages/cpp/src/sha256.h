#ifndef SAMEHOST_SRC_SHA256_H_
#define SAMEHOST_SRC_SHA256_H_

#include <array>
#include <cstdint>
#include <string>

namespace samehost::internal {

// The SHA-256 digest of a text (FIPS 180-4), as eight words of which the first is the most
// significant. It names files, and secures nothing. gRPC is built with OpenSSL or with BoringSSL,
// and a library that links either would clash with a gRPC that has the other.
std::array<std::uint32_t, 8> Sha256(std::string text);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SHA256_H_
