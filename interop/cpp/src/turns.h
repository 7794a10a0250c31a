#ifndef SAMEHOST_INTEROP_TURNS_H_
#define SAMEHOST_INTEROP_TURNS_H_

#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace samehost::interop {

// A mutual exclusion of calls that blocks no thread: who takes a turn is called back when it comes.
class Turns {
 public:
  // Calls `then` when everyone who came before has given back the turn; at once if nobody has it.
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
  bool taken_ = false;                         // under mutex_
  std::deque<std::function<void()>> waiting_;  // under mutex_
};

}  // namespace samehost::interop

#endif  // SAMEHOST_INTEROP_TURNS_H_
