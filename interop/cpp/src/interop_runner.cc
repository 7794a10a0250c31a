#include "interop_runner.h"

#include <array>
#include <chrono>
#include <cmath>
#include <exception>

#include "interop_cases.h"
#include "log.h"
#include "samehost/dial.h"

namespace samehost::interop {
namespace {

// The official cases that this client does not implement, because they need a Google Cloud account.
constexpr std::array kNeedGoogleCredentials = {"compute_engine_channel_credentials",
                                               "compute_engine_creds",
                                               "google_default_credentials",
                                               "jwt_token_creds",
                                               "oauth2_auth_token",
                                               "per_rpc_creds"};

// The time to wait for the server before the first case.
constexpr std::chrono::seconds kWait{5};

CaseResult RunCase(const SocketAddress& address, const std::string& name) {
  const auto found = InteropCases().find(name);
  if (found == InteropCases().end()) {
    return {name, "unimplemented",
            "this client does not implement the case, which needs Google credentials", 0};
  }
  const auto started = std::chrono::steady_clock::now();
  std::string detail;
  try {
    found->second(address);
  } catch (const std::exception& failure) {
    detail = OneLine(failure.what());
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
  return {name, detail.empty() ? "pass" : "fail", detail, std::round(took.count() * 10) / 10};
}

}  // namespace

std::vector<std::string> CaseNames() {
  std::vector<std::string> names(kNeedGoogleCredentials.begin(), kNeedGoogleCredentials.end());
  for (const auto& [name, run] : InteropCases()) names.push_back(name);
  return names;
}

bool RunCases(const SocketAddress& address, const std::vector<std::string>& names,
              const std::function<void(const CaseResult&)>& print) {
  WaitForServer(*Dial(address), address, kWait);
  bool passed = true;
  for (const std::string& name : names) {
    const CaseResult result = RunCase(address, name);
    print(result);
    passed &= result.result == "pass";
  }
  return passed;
}

}  // namespace samehost::interop
