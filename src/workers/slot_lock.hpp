// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a worker shows that it is alive: it holds a lock on one byte of the segment for its slot, far beyond
// the segment's end. The kernel drops the lock at the worker's death, whatever its cause.
//
// The best lock is one of an open file description of our own (F_OFD_SETLK), which closing other descriptors
// does not drop. A process that cannot open the segment again takes a lock of the whole process (F_SETLK)
// through the descriptor that it has. Such a process is a worker whose master opened the segment as root and
// that has become another user since, or one that has no descriptor left, or no /proc. Looking (F_OFD_GETLK)
// sees both kinds.
//
// A private segment without a file (Segment::has_file()) has nothing to lock. There a slot is claimed by one
// exchange, and a worker is dead when its pid is unused. A zombie lives until its parent has waited for it,
// and a worker whose pid was given to another process counts as alive, too. A process without a slot cannot
// announce a sweep there, so each slot has as many tenants as the owners in a user's permits tell apart, and
// no more (tenancy.hpp).
//
// Traps of the second kind of lock, beside those in registry.hpp:
//   close       closing any descriptor of the inode drops it; base/descriptor.hpp takes it again.
//   two claims  two claims of one process both get it, whatever limiters they are for. So a claim that finds
//               the slot taken by its own process must not unlock; and a slot is first unlocked, then freed.
//   fork        a child does not inherit it, and has nothing to close.

#include <cstdint>
#include <sys/types.h>

#include "base/result.hpp"
#include "segment/mapping.hpp"
#include "workers/inherited.hpp"

namespace weir::detail {

class SlotLock {
 public:
  SlotLock() = default;

  /// Errors  those of Segment::reopen(), if a lock of the process is not possible either.
  [[nodiscard]] static Result<SlotLock> open(const Segment& segment);

  /// @return false if another process holds the byte of that slot.
  [[nodiscard]] bool take(const Segment& segment, std::uint32_t slot) const noexcept;
  void drop(const Segment& segment, std::uint32_t slot) const noexcept;
  /// Gives up what must be given up before the slot is freed, while no other process can have the slot.
  void leave(const Segment& segment, std::uint32_t slot) const noexcept {
    if (is_of_process()) drop(segment, slot);
  }
  /// Closes the description and unmaps its page, and with that drops its lock.
  void close() const noexcept {
    if (is_file()) close_kept(*kept());
  }

  [[nodiscard]] bool is_of_process() const noexcept { return word_ == kOfProcess; }
  /// A descriptor through which other locks can be queried.
  [[nodiscard]] int fd(const Segment& segment) const noexcept {
    return file() != nullptr ? file()->fd() : segment.file().get();
  }
  /// Whether the lock stays when all descriptors are closed, because a mapping holds it, too.
  [[nodiscard]] bool lasts() const noexcept { return file() != nullptr && kept()->page != nullptr; }
  /// The description of our own; nullptr if there is none.
  [[nodiscard]] const FileMark* file() const noexcept { return is_file() ? &kept()->mark : nullptr; }

  /// The lock as a value for an atomic word; 0: none.
  [[nodiscard]] std::uintptr_t word() const noexcept { return word_; }
  [[nodiscard]] static SlotLock from_word(std::uintptr_t word) noexcept { return SlotLock(word); }

 private:
  static constexpr std::uintptr_t kOfProcess = 1;
  static constexpr std::uintptr_t kNothingToLock = 2;
  explicit SlotLock(std::uintptr_t word) noexcept : word_(word) {}
  [[nodiscard]] bool is_file() const noexcept { return word_ > kNothingToLock; }
  [[nodiscard]] KeptFile* kept() const noexcept {
    return reinterpret_cast<KeptFile*>(word_);  // NOLINT(performance-no-int-to-ptr): one word holds either
  }

  std::uintptr_t word_ = 0;
};

/// The byte of a slot; `type` as in fcntl(2).
[[nodiscard]] struct flock byte_of(std::uint32_t slot, short type) noexcept;

}  // namespace weir::detail
