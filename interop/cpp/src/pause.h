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

// A pause in a call that blocks no thread. The cancellation of the call ends it.
class Pause {
 public:
  // Calls `then` with true after the time, or earlier with false if the pause was cancelled. Start
  // only one pause at a time.
  void Start(Seconds length, std::function<void(bool)> then) {
    const std::lock_guard lock(mutex_);
    // Each pause needs a new alarm, because `then` of the old alarm may still be running.
    alarm_.emplace().Set(
        std::chrono::system_clock::now() +
            std::chrono::duration_cast<std::chrono::system_clock::duration>(length),
        std::move(then));
    if (cancelled_) alarm_->Cancel();
  }

  // Ends this pause and all later ones.
  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (alarm_) alarm_->Cancel();
  }

 private:
  std::mutex mutex_;
  bool cancelled_ = false;            // guarded by mutex_
  std::optional<grpc::Alarm> alarm_;  // guarded by mutex_
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_PAUSE_H_
