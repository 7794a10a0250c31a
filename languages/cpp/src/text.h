#ifndef SAMEHOST_SRC_TEXT_H_
#define SAMEHOST_SRC_TEXT_H_

#include <iomanip>
#include <sstream>
#include <string>

namespace samehost::internal {

inline std::string Digits(std::ios_base& (*base)(std::ios_base&), unsigned number, int width) {
  std::ostringstream text;
  text << base << std::setw(width) << std::setfill('0') << number;
  return text.str();
}

inline std::string Octal(unsigned mode) { return Digits(std::oct, mode, 4); }

inline std::string Hex(unsigned number, int width) { return Digits(std::hex, number, width); }

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_TEXT_H_
