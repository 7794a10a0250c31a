#ifndef SAMEHOST_SRC_TEXT_H_
#define SAMEHOST_SRC_TEXT_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <system_error>

#include "samehost/error.h"

namespace samehost::internal {

// An error that says what failed, what the system returned (an errno), and the remedy.
template <typename Kind = Error>
Kind SystemError(const std::string& failure, int error, const std::string& remedy) {
  const std::error_code code(error, std::generic_category());
  return Kind(failure + ": " + code.message() + "; " + remedy, code);
}

// A mode as chmod(1) takes it, with four digits.
std::string Octal(mode_t mode);

// A number with this many hexadecimal digits at least.
std::string Hex(std::uint32_t number, int digits);

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_TEXT_H_
