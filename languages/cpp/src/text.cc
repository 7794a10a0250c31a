#include "text.h"

#include <array>
#include <cstdio>

namespace samehost::internal {
namespace {

std::string Digits(const char* format, int width, unsigned number) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, width, number);
  return text.data();
}

}  // namespace

std::string Octal(mode_t mode) { return Digits("%0*o", 4, mode); }

std::string Hex(std::uint32_t number, int digits) { return Digits("%0*x", digits, number); }

}  // namespace samehost::internal
