#ifndef SAMEHOST_ERROR_H_
#define SAMEHOST_ERROR_H_

#include <stdexcept>
#include <string>

namespace samehost {

// Why a program fails: one line that names what went wrong, the value and the remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Another server has the path.
class InUseError : public Error {
 public:
  using Error::Error;
};

// Writes the text to stderr, as one line after the program's name.
void LogError(const std::string& text);

// What the system says of an errno.
std::string SystemMessage(int error_number);

// The text with every run of white space made a single space.
std::string OneLine(const std::string& text);

}  // namespace samehost

#endif  // SAMEHOST_ERROR_H_
