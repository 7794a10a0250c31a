#include "log.h"

#include <cerrno>
#include <iostream>
#include <sstream>

namespace samehost::interop {

void LogError(const std::string& text) {
  std::cerr << program_invocation_short_name << ": " << OneLine(text) << '\n';
}

std::string OneLine(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) {
    if (!line.empty()) line += ' ';
    line += word;
  }
  return line;
}

}  // namespace samehost::interop
