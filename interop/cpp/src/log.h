#ifndef SAMEHOST_INTEROP_LOG_H_
#define SAMEHOST_INTEROP_LOG_H_

#include <string>

namespace samehost::interop {

// Writes the text to stderr, as one line after the program's name.
void LogError(const std::string& text);

// The text with every run of white space made a single space.
std::string OneLine(const std::string& text);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_LOG_H_
