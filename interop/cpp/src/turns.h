#ifndef SAMEHOST_INTEROP_TURNS_H_
#define SAMEHOST_INTEROP_TURNS_H_

#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace samehost::interop {

// A mutex for calls that blocks no thread. It calls a function when the caller has its turn.
class Turns {
 public:
  // Calls `then` when all earlier callers have called GiveBack, which may be at once.
  void Take(std::function<void()> then) {
    {
      const std::lock_guard lock(mutex_);
      if (taken_) {
        waiting_.push_back(std::move(then));
        return;
      }
      taken_ = true;
    }
    then();
  }

  void GiveBack() {
    std::function<void()> next;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) {
        taken_ = false;
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next();
  }

 private:
  std::mutex mutex_;
  bool taken_ = false;                         // guarded by mutex_
  std::deque<std::function<void()>> waiting_;  // guarded by mutex_
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_TURNS_H_
