#ifndef SAMEHOST_SRC_WARN_H_
#define SAMEHOST_SRC_WARN_H_

#include <iostream>
#include <string>

#include "samehost/listen_options.h"

namespace samehost::internal {

inline void Warn(const ListenOptions& options, const std::string& text) {
  options.on_warning ? options.on_warning(text) : void(std::clog << text << std::endl);
}

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_WARN_H_
