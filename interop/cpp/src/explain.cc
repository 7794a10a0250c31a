#include "explain.h"

#include <fmt/format.h>

#include "samehost/diagnose.h"
#include "status_name.h"

namespace samehost::interop {

void Explain(const grpc::Status& status, const SocketAddress& address) {
  const std::string details =
      status.error_message().empty() ? "no details" : status.error_message();
  const bool timed_out = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (timed_out || status.error_code() == grpc::StatusCode::UNAVAILABLE) Diagnose(address);
  const std::string failure = "the call to " + address.target() + " failed";
  if (timed_out) {
    throw Error(fmt::format(
        "{}: no response before the deadline: {}; use a longer timeout or read the server's log",
        failure, details));
  }
  throw Error(fmt::format("{}: {}: {}", failure, StatusName(status.error_code()), details));
}

}  // namespace samehost::interop
