#include "public_file.h"

#include <unistd.h>

#include <cstdio>

namespace samehost::internal {
namespace {

namespace fs = std::filesystem;

std::optional<struct stat> StatusOf(const fs::path& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return std::nullopt;
  return found;
}

}  // namespace

std::optional<struct stat> PublicFile::Status() const { return StatusOf(held()); }

bool PublicFile::Publish(const fs::path& bound) {
  own_ = StatusOf(bound);
  return own_ && rename(bound.c_str(), held().c_str()) == 0;
}

bool PublicFile::IsOwn(const fs::path& path) const {
  const auto found = StatusOf(path);
  return own_ && found && found->st_dev == own_->st_dev && found->st_ino == own_->st_ino;
}

void PublicFile::RemoveIfOwn() const {
  if (IsOwn(held())) unlink(held().c_str());
}

void PublicFile::KeepIn(const PrivateFolder& kept) const {
  if (IsOwn(held())) link(held().c_str(), (kept / name()).c_str());
}

void PublicFile::RestoreFrom(const PrivateFolder& kept) const {
  if (IsOwn(held())) return;  // rename(2) between two names of one file has no effect
  const PathState state = Probe();
  if (state == PathState::kAbsent || state == PathState::kStale) {
    rename((kept / name()).c_str(), held().c_str());
  }
}

}  // namespace samehost::internal
