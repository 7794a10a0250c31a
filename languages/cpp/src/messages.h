#ifndef SAMEHOST_SRC_MESSAGES_H_
#define SAMEHOST_SRC_MESSAGES_H_

#include <cctype>
#include <filesystem>
#include <string>
#include <system_error>

#include "samehost/error.h"

namespace samehost::internal {

inline constexpr char kRaiseFileLimit[] = "raise the limit of open files";

// Returns the text of an errno in the form that messages use, such as "permission denied".
inline std::string Reason(int error) {
  std::string text = std::generic_category().message(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

// Returns an error with the message "<failure>: <cause>; <remedy>" and the code of an errno.
template <typename Kind = Error>
Kind MakeError(const std::string& failure, const std::string& cause, const std::string& remedy,
               int error = 0) {
  return Kind(failure + ": " + cause + "; " + remedy,
              std::error_code(error, std::generic_category()));
}

template <typename Kind = Error>
Kind CannotConnect(const std::filesystem::path& path, const std::string& cause,
                   const std::string& remedy, int error = 0) {
  return MakeError<Kind>("cannot connect to " + path.string(), cause, remedy, error);
}

template <typename Kind = Error>
Kind CannotListen(const std::filesystem::path& path, const std::string& cause,
                  const std::string& remedy, int error = 0) {
  return MakeError<Kind>("cannot listen on " + path.string(), cause, remedy, error);
}

inline Error CannotBind(const std::filesystem::path& path, const std::string& reason,
                        int error = 0) {
  return CannotListen(path, "cannot bind a socket: " + reason,
                      "use a file system that has sockets and space", error);
}

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_MESSAGES_H_
