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

// The handover of a path from a server to its successor (PROTOCOL.md, Takeover). Both send events
// as lines of JSON over a control socket beside the path.

// Returns the path of the control socket, or nothing if it is too long for a socket.
std::optional<std::filesystem::path> ControlPath(const std::filesystem::path& path);

// Throws CancelledError if a stop is requested.
void ThrowIfCancelled(const std::stop_token& cancel, const std::filesystem::path& path);

// A successor's connection to the running server. If it is destroyed before SendPublished, the
// running server locks the path again and continues to serve.
class Predecessor {
 public:
  // Connects and waits until the server has released its lock. The folder is that of the path.
  // Throws InUseError if the server does not answer or release its lock, and CancelledError.
  Predecessor(const Folder& folder, const std::filesystem::path& path,
              const std::stop_token& cancel);

  // Reports that the successor has published its socket, so that the predecessor drains and stops.
  void SendPublished() const;

 private:
  const FileDescriptor connection_;
};

// A running server's control socket, which has one successor at a time. It has no thread: its owner
// polls the descriptor, so the lock changes only in the owner's thread.
class Successors {
 public:
  enum class Event {
    kNone,
    kConnected,     // a successor connected and waits for SendReleased
    kDisconnected,  // it closed the connection, or sent something else
    kPublished,     // it has published its socket
  };

  // Listens at `bound`, a path in a private folder. Throws Error, which names the public path of
  // the server.
  Successors(const std::filesystem::path& bound, const std::filesystem::path& path);

  // The descriptor to poll for reading.
  int descriptor() const { return successor_ ? successor_->get() : listener_.get(); }

  bool HasSuccessor() const { return successor_.has_value(); }

  // Accepts a successor, or reads from it. Sleeps briefly if the process has no free descriptor.
  Event Receive();

  void SendReleased() const;

  // Whether the successor has sent nothing for 5 s. Returns true once every 5 s.
  bool IsSilent();

  void Disconnect() { successor_.reset(); }

 private:
  Event Accept();

  const FileDescriptor listener_;
  std::optional<FileDescriptor> successor_;
  std::string line_;  // the part of the line that has arrived
  std::chrono::steady_clock::time_point silent_from_;
};

}  // namespace samehost::internal

#endif  // SAMEHOST_SRC_TAKEOVER_H_
