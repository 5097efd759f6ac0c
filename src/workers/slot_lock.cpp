// SPDX-License-Identifier: Apache-2.0
#include "workers/slot_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace weir::detail {
namespace {

constexpr off_t kLockBase = off_t{1} << 62;  // beyond the end of any file: ordinary locks do not meet ours

}  // namespace

struct flock byte_of(std::uint32_t slot, short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockBase + static_cast<off_t>(slot);
  lock.l_len = 1;
  return lock;
}

Result<SlotLock> SlotLock::open(const Segment& segment) {
  if (!segment.has_file()) return SlotLock(kNothingToLock);
  Error error{Errc::system, "out of memory", ""};
  KeptFile* const kept = keep_here([&]() -> FileHandle {
    auto file = segment.reopen(OpenMode::read_write);
    if (file) return std::move(*file);
    error = file.error();
    return {};
  });
  if (kept != nullptr) return SlotLock(reinterpret_cast<std::uintptr_t>(kept));
  if (segment.is_open()) return SlotLock(kOfProcess);
  error.hint =
      "let the process open its limiter, or call join(), before it changes its user or closes descriptors";
  return error;
}

bool SlotLock::take(const Segment& segment, std::uint32_t slot) const noexcept {
  struct flock byte = byte_of(slot, F_WRLCK);
  if (is_of_process()) return take_process_lock(segment.file().mark(), byte.l_start);
  return is_file() && ::fcntl(kept()->mark.fd(), F_OFD_SETLK, &byte) == 0;
}

void SlotLock::drop(const Segment& segment, std::uint32_t slot) const noexcept {
  struct flock byte = byte_of(slot, F_UNLCK);
  if (is_of_process()) {
    drop_process_lock(segment.file().mark(), byte.l_start);
  } else if (is_file()) {
    (void)::fcntl(kept()->mark.fd(), F_OFD_SETLK, &byte);
  }
}

}  // namespace weir::detail
