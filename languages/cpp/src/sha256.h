#ifndef SAMEHOST_SRC_SHA256_H_
#define SAMEHOST_SRC_SHA256_H_

#include <array>
#include <cstdint>
#include <string>

namespace samehost::internal {

// Returns the SHA-256 digest of a text (FIPS 180-4) as eight words, most significant first. It is
// used for names of files, not for security. gRPC is built with OpenSSL or BoringSSL, and linking
// one of them would conflict with a gRPC that uses the other.
std::array<std::uint32_t, 8> Sha256(std::string text);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_SHA256_H_
