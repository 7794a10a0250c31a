#ifndef SAMEHOST_LISTEN_OPTIONS_H_
#define SAMEHOST_LISTEN_OPTIONS_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace samehost {

// How to listen. The defaults listen safely, and do not allow a takeover.
//
// The callbacks run in a thread of the library, on_warning also in that of Listen. They must return
// soon, must not throw, and must not stop the server: wake the thread that does.
struct ListenOptions {
  // The permissions of the socket. Connecting takes write permission (unix(7)).
  mode_t mode = 0660;
  // The group of the socket. Without it, the system gives one: the process's own or, in a set-gid
  // folder, the folder's.
  std::optional<gid_t> group = std::nullopt;
  // Names this server in the error of a second one; empty means the program's name.
  std::string owner = {};
  // Listens, with a warning, also in a folder that every user may write to.
  bool trust_folder = false;
  // Lets a successor replace this server without losing a call; on_taken_over tells when. The
  // successor dials `<path>.takeover`. A path of more than 98 bytes leaves no room for that name,
  // and cannot be taken over.
  bool allow_takeover = false;
  // Replaces a running server, which then drains. Implies allow_takeover.
  bool take_over = false;
  // After which time a client is moved to a new connection, without losing a call; at least 1 ms.
  // A stop waits for connected clients no longer than 1.3 of it, so a longer age makes it slower.
  std::chrono::milliseconds max_connection_age = std::chrono::seconds(1);
  // Stops a Listen that waits for its predecessor, which may take 7 s.
  std::stop_token cancel = {};
  // Receives a line about something that may need a remedy; std::clog does if it is empty.
  std::function<void(const std::string&)> on_warning = {};
  // A successor serves at the path: stop.
  std::function<void()> on_taken_over = {};
  // Someone has removed the socket or replaced it: no new client finds this server.
  std::function<void()> on_removed = {};
};

}  // namespace samehost

#endif  // SAMEHOST_LISTEN_OPTIONS_H_
