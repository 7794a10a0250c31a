#include "sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace samehost::internal {
namespace {

using ::testing::ElementsAre;

TEST(Sha256Test, HashesTheExamplesOfTheStandard) {
  EXPECT_THAT(Sha256("abc"), ElementsAre(0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3,
                                         0x96177a9c, 0xb410ff61, 0xf20015ad));
  EXPECT_THAT(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              ElementsAre(0x248d6a61, 0xd20638b8, 0xe5c02693, 0x0c3e6039, 0xa33ce459, 0x64ff2167,
                          0xf6ecedd4, 0x19db06c1));
}

}  // namespace
}  // namespace samehost::internal
