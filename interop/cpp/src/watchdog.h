#ifndef SAMEHOST_INTEROP_WATCHDOG_H_
#define SAMEHOST_INTEROP_WATCHDOG_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace samehost::interop {

// Calls a function in a new thread unless it is destroyed within a time.
class Watchdog {
 public:
  Watchdog(std::chrono::milliseconds time, std::function<void()> bark)
      : thread_([time, bark = std::move(bark)](const std::stop_token& destroyed) {
          std::mutex mutex;
          std::unique_lock lock(mutex);
          std::condition_variable_any never;
          never.wait_for(lock, destroyed, time, [] { return false; });
          if (!destroyed.stop_requested()) bark();
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_WATCHDOG_H_
