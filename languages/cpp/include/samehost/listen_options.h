#ifndef SAMEHOST_LISTEN_OPTIONS_H_
#define SAMEHOST_LISTEN_OPTIONS_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace samehost {

// Options of Listen.
//
// The callbacks run in a thread of the library; on_warning also runs in the thread that calls
// Listen. They must return soon, and must not throw or stop the server. To stop it, wake another
// thread.
struct ListenOptions {
  // The permissions of the socket. A client needs write permission to connect (unix(7)).
  mode_t mode = 0660;
  // The group of the socket. By default, it is the group of the process or, in a set-gid folder,
  // the group of the folder.
  std::optional<gid_t> group = std::nullopt;
  // The name of this server in the error of a second one. By default, it is the name of the
  // program.
  std::string owner = {};
  // Listens in a folder that every user may write to, with a warning instead of UnsafeFolderError.
  bool trust_folder = false;
  // Lets a successor replace this server without losing a call. on_taken_over reports it. The
  // successor connects to `<path>.takeover`, so a path of more than 98 bytes cannot be taken over.
  bool allow_takeover = false;
  // Replaces a running server, which then drains and stops. Implies allow_takeover.
  bool take_over = false;
  // The time after which a client moves to a new connection without losing a call; at least 1 ms.
  // Stop waits up to 1.3 times as long for connected clients.
  std::chrono::milliseconds max_connection_age = std::chrono::seconds(1);
  // Cancels a Listen that waits for the running server, which may take 7 s.
  std::stop_token cancel = {};
  // Receives warnings of one line. By default, they are written to std::clog.
  std::function<void(const std::string&)> on_warning = {};
  // Called when a successor serves at the path. This server should stop.
  std::function<void()> on_taken_over = {};
  // Called when the socket was removed or replaced, so that new clients cannot connect.
  std::function<void()> on_removed = {};
};

}  // namespace samehost

#endif  // SAMEHOST_LISTEN_OPTIONS_H_
