#include "socket_file.h"

#include <fmt/format.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <string_view>
#include <system_error>

#include "error.h"
#include "socket_probe.h"

namespace samehost {
namespace {

// Hexadecimal digits, so that two paths of one folder share a private folder once in 4 billion.
constexpr std::size_t kFolderNameLength = 8;

// Random digits. C-core unlinks the name that it bound when it shuts down, whatever is there by
// then: a server that drains would take away what its successor has just bound under the same name.
constexpr std::size_t kSocketNameLength = 4;

// The name of the socket for successors, while it is private; no random one is the same.
constexpr char kPrivateControl[] = "t";

// How long to try for a lock that was just released: a third server may hold it while it finds the
// path live.
constexpr std::chrono::seconds kReleasedLockPatience{2};

std::string Sha256(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string hexadecimal;
  for (const unsigned char byte : digest) hexadecimal += fmt::format("{:02x}", byte);
  return hexadecimal;
}

// Where the socket is bound: a random name in a folder beside the path, whose own name depends on
// the path alone, so that the next server clears away what one that was killed here has left. It
// must fit into a socket's address too, so both names get shorter where the path is long.
std::filesystem::path PrivatePath(const std::filesystem::path& path) {
  const std::size_t taken = path.parent_path().string().size() + std::string_view("/./").size();
  if (taken + std::string_view("ab").size() > kMaxPathBytes) {
    throw Error(
        fmt::format("{} leaves no room for a private name beside it; choose a folder with a "
                    "shorter name",
                    path.string()));
  }
  const std::size_t room = kMaxPathBytes - taken;
  const std::size_t socket_length = std::min(room / 2, kSocketNameLength);
  const std::size_t folder_length = std::min(room - socket_length, kFolderNameLength);
  const std::string folder = Sha256(path.filename().string()).substr(0, folder_length);
  const std::string socket = fmt::format("{:08x}", std::random_device()()).substr(0, socket_length);
  return path.parent_path() / fmt::format(".{}", folder) / socket;
}

}  // namespace

SocketFile::SocketFile(const SocketAddress& address, std::string owner, bool take_over)
    : address_(address),
      private_path_(PrivatePath(address.path())),
      control_path_(ControlPath(address.path())),
      owner_(std::move(owner)) {
  TakeLock(take_over);
  RefuseWhatIsNotStale();
  RefuseForeignControl();
  MakePrivateFolder();
}

void SocketFile::Publish(mode_t mode, std::optional<gid_t> group) {
  const std::string path = address_.path().string();
  const std::filesystem::path private_control = private_path_.parent_path() / kPrivateControl;
  if (control_path_) successors_.emplace(private_control);
  constexpr auto kSameOwner = static_cast<uid_t>(-1);
  // chown before chmod: it may clear bits of the mode (chown(2)). The socket for successors before
  // the path: if the process dies between the two, a predecessor still has its path.
  if ((group && chown(private_path_.c_str(), kSameOwner, *group) != 0) ||
      chmod(private_path_.c_str(), mode) != 0 ||
      (control_path_ && !Rename(private_control, *control_path_)) || !Rename(private_path_, path) ||
      rmdir(private_path_.parent_path().c_str()) != 0) {
    const int error = errno;
    throw Error(fmt::format(
        "cannot publish {} with mode {:04o} and group {}: {}; {}; only a group that this process "
        "is in can be given",
        path, mode, group.value_or(getegid()), SystemMessage(error), DescribePermissions(path)));
  }
  if (predecessor_) predecessor_->TellPublished();
  predecessor_.reset();
}

bool SocketFile::AnswerSuccessor() {
  switch (successors_->Hear()) {
    case Successors::Said::kNothing:
      break;
    case Successors::Said::kHello:
      lock_.reset();
      successors_->SayReleased();
      break;
    case Successors::Said::kGoodbye:
      RetakeLock();
      break;
    case Successors::Said::kPublished:
      return true;
    case Successors::Said::kNoMore:
      successors_.reset();
      LogError(
          fmt::format("{} can't be taken over any more: the system refuses connections at "
                      "{}.takeover; let this process open more files",
                      address_.path().string(), address_.path().string()));
      break;
  }
  return false;
}

bool SocketFile::IsLost() const { return lock_ && !IsOwn(address_.path()); }

void SocketFile::Withdraw() {
  successors_.reset();  // hangs up on those who wait
  if (lock_) {  // or else a successor may put its own there between the look and the removal
    for (const auto& [path, identity] : identities_) {
      if (IsOwn(path)) unlink(path.c_str());
    }
    RemovePrivateFolder();
    lock_.reset();
  }
  predecessor_.reset();
}

bool SocketFile::Rename(const std::filesystem::path& bound, const std::filesystem::path& path) {
  const auto identity = IdentityOf(bound);
  if (!identity) return false;
  identities_.insert_or_assign(path, *identity);
  return rename(bound.c_str(), path.c_str()) == 0;
}

bool SocketFile::IsOwn(const std::filesystem::path& path) const {
  const auto own = identities_.find(path);
  return own != identities_.end() && IdentityOf(path) == own->second;
}

std::optional<SocketFile::Identity> SocketFile::IdentityOf(const std::filesystem::path& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return std::nullopt;
  return Identity(found.st_dev, found.st_ino);
}

void SocketFile::TakeLock(bool take_over) {
  using namespace std::chrono_literals;
  try {
    lock_.emplace(address_.path(), owner_, 0ms);
  } catch (const InUseError&) {
    if (!take_over) throw;
    predecessor_.emplace(address_.path());
    lock_.emplace(address_.path(), owner_, kReleasedLockPatience);
  }
}

// When a successor gave up; a signal waits meanwhile. Even without the lock, others find the path
// live.
void SocketFile::RetakeLock() {
  try {
    lock_.emplace(address_.path(), owner_, kReleasedLockPatience);
  } catch (const Error& error) {
    LogError(fmt::format("a takeover of {} was given up, and its lock can't be had again: {}",
                         address_.path().string(), error.what()));
  }
}

void SocketFile::RefuseWhatIsNotStale() const {
  const std::string path = address_.path().string();
  switch (ProbePath(address_)) {
    case PathState::kNotASocket:
      throw Error(
          fmt::format("{} exists and is not a socket; move it away or choose another path", path));
    case PathState::kLive:
      if (predecessor_) return;
      throw Error(fmt::format(
          "{} has a server already: someone answers there without holding {}.lock; stop that "
          "server or choose another path",
          path, path));
    case PathState::kForbidden:
      throw Error(fmt::format(
          "{} may have a server: this process is not allowed to ask; {}; remove the file if nobody "
          "serves there",
          path, DescribePermissions(path)));
    case PathState::kAbsent:
    case PathState::kStale:
      return;
  }
}

void SocketFile::RefuseForeignControl() const {
  struct stat found {};
  if (control_path_ && lstat(control_path_->c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
    throw Error(fmt::format(
        "{} is needed to hand {} over and is not a socket; move it away or choose another path",
        control_path_->string(), address_.path().string()));
  }
}

void SocketFile::MakePrivateFolder() const {
  const std::filesystem::path folder = private_path_.parent_path();
  if (!RemovePrivateFolder() || mkdir(folder.c_str(), S_IRWXU) != 0) {
    const int error = errno;
    throw Error(fmt::format(
        "cannot create {} for the socket {}: {}; {}; let this process write there", folder.string(),
        address_.path().string(), SystemMessage(error), DescribePermissions(folder)));
  }
}

// Removes what this server, or one that was killed while it started, left; safe, as it holds the
// lock. False, and errno, where it can't.
bool SocketFile::RemovePrivateFolder() const {
  const std::filesystem::path folder = private_path_.parent_path();
  std::error_code ignored;  // rmdir says what matters
  for (const auto& left : std::filesystem::directory_iterator(folder, ignored)) {
    if (left.is_socket(ignored)) unlink(left.path().c_str());
  }
  return rmdir(folder.c_str()) == 0 || errno == ENOENT;
}

}  // namespace samehost
