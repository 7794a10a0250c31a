#ifndef SAMEHOST_INTEROP_PAUSE_H_
#define SAMEHOST_INTEROP_PAUSE_H_

#include <google/protobuf/duration.pb.h>
#include <grpcpp/alarm.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>

namespace samehost::interop {

using Seconds = std::chrono::duration<double>;

inline Seconds ToSeconds(const google::protobuf::Duration& duration) {
  return Seconds(static_cast<double>(duration.seconds()) + duration.nanos() * 1e-9);
}

// A pause in a call that holds no thread, and which the call's cancellation cuts short.
class Pause {
 public:
  // Calls `then` when the time is over, or earlier with false if the pause was cut. One at a time.
  void Begin(Seconds length, std::function<void(bool)> then) {
    const std::lock_guard lock(mutex_);
    // A new alarm for each pause: the old one may still be on its way out of its `then`.
    alarm_.emplace().Set(
        std::chrono::system_clock::now() +
            std::chrono::duration_cast<std::chrono::system_clock::duration>(length),
        std::move(then));
    if (cut_) alarm_->Cancel();
  }

  // Cuts short the pause, and every later one.
  void Cut() {
    const std::lock_guard lock(mutex_);
    cut_ = true;
    if (alarm_) alarm_->Cancel();
  }

 private:
  std::mutex mutex_;
  bool cut_ = false;                  // under mutex_
  std::optional<grpc::Alarm> alarm_;  // under mutex_
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_PAUSE_H_
