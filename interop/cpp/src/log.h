#ifndef SAMEHOST_INTEROP_LOG_H_
#define SAMEHOST_INTEROP_LOG_H_

#include <string>

namespace samehost::interop {

// Writes the name of the program and the text to stderr as one line.
void LogError(const std::string& text);

// Replaces each run of white space by a single space.
std::string OneLine(const std::string& text);

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_LOG_H_
