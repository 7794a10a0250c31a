#include "explain.h"

#include <fmt/format.h>

#include "samehost/diagnose.h"
#include "status_name.h"

namespace samehost::interop {

void Explain(const grpc::Status& status, const SocketAddress& address) {
  const std::string details =
      status.error_message().empty() ? "no details" : status.error_message();
  const bool late = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (late || status.error_code() == grpc::StatusCode::UNAVAILABLE) Diagnose(address);
  if (late) {
    throw Error(fmt::format(
        "no answer from {} before the deadline: {}; give it more time, or see what keeps it",
        address.target(), details));
  }
  throw Error(fmt::format("{} answered {}: {}", address.target(), StatusName(status.error_code()),
                          details));
}

}  // namespace samehost::interop
