#ifndef SAMEHOST_SRC_TAKEOVER_H_
#define SAMEHOST_SRC_TAKEOVER_H_

#include <chrono>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "file_descriptor.h"
#include "folder.h"

namespace samehost::internal {

// The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under
// Takeover. They talk over a socket beside the path; lines of JSON say what has happened, and a
// connection that ends says that the other one is gone.

// Where the server at a path listens for its successor; nothing where the name would be too long
// for a socket.
std::optional<std::filesystem::path> ControlPath(const std::filesystem::path& path);

// Throws CancelledError if a stop is requested.
void ThrowIfCancelled(const std::stop_token& cancel, const std::filesystem::path& path);

// The server that has the path, as its successor meets it. Its destruction before TellPublished
// makes that server take its lock again and serve on.
class Predecessor {
 public:
  // Makes the server release its lock. The folder is that of the path. Throws InUseError where the
  // server can't be asked, or won't, and CancelledError.
  Predecessor(const Folder& folder, const std::filesystem::path& path,
              const std::stop_token& cancel);

  // Says that the path is the successor's now, so that the predecessor drains and goes.
  void TellPublished() const;

 private:
  const FileDescriptor connection_;
};

// Those who want the path of a server that serves, one at a time. It has no thread: whoever owns it
// polls, so that the lock never changes hands behind the owner's back.
class Successors {
 public:
  enum class Said {
    kNothing,    // that matters
    kHello,      // one has come; it is owed SayReleased
    kGoodbye,    // it has given up, or died
    kPublished,  // the path is its own now
  };

  // Listens at a path that nobody else can reach yet. Throws Error, which shows the public path,
  // where the system refuses.
  Successors(const std::filesystem::path& bound, const std::filesystem::path& shown);

  // What to poll for something to read.
  int descriptor() const { return successor_ ? successor_->get() : listener_.get(); }

  // Whether one has come, and is still there.
  bool HasOne() const { return successor_.has_value(); }

  // Takes in what there is to read. Where no descriptor is left for a connection, it pauses.
  Said Hear();

  void SayReleased() const;

  // Whether the one that has come says nothing; true at most every 5 s.
  bool IsSilent();

  void HangUp() { successor_.reset(); }

 private:
  Said Accept();

  const FileDescriptor listener_;
  std::optional<FileDescriptor> successor_;
  std::string line_;                                   // as far as the successor has said it
  std::chrono::steady_clock::time_point silent_from_;  // unless it says something before
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_TAKEOVER_H_
