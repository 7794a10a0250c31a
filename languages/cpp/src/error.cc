#include "error.h"

#include <cerrno>
#include <iostream>
#include <sstream>
#include <system_error>

namespace samehost {

void LogError(const std::string& text) {
  std::cerr << program_invocation_short_name << ": " << OneLine(text) << '\n';
}

std::string SystemMessage(int error_number) {
  return std::generic_category().message(error_number);
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

}  // namespace samehost
