// SPDX-License-Identifier: Apache-2.0
#pragma once

// The record of one worker in the segment.

#include <array>
#include <cstdint>
#include <string>

#include "base/owner.hpp"
#include "base/word.hpp"

namespace weir::detail {

/// {published 1 | generation 31 | pid 32}. The generation counts the slot's tenants.
struct SlotIdentity {
  static constexpr std::uint32_t kGenerationMask = 0x7fff'ffff;

  bool published = false;
  std::uint32_t generation = 0;
  std::uint32_t pid = 0;

  [[nodiscard]] static constexpr SlotIdentity from_word(std::uint64_t word) noexcept {
    return {(word >> 63) != 0, static_cast<std::uint32_t>(word >> 32) & kGenerationMask,
            static_cast<std::uint32_t>(word)};
  }
  friend constexpr bool operator==(const SlotIdentity&, const SlotIdentity&) = default;
  [[nodiscard]] constexpr std::uint64_t word() const noexcept {
    return (published ? std::uint64_t{1} << 63 : 0) | std::uint64_t{generation} << 32 | pid;
  }
};

/// Evidence about a process that remains valid after pid reuse and exec. Zero: unknown.
struct ProcessTrace {
  std::uint64_t start_time = 0;     ///< clock ticks after boot, /proc/PID/stat
  std::uint64_t stack = 0;          ///< where the program's stack begins: different after exec
  std::uint64_t pid_namespace = 0;  ///< inode

  friend bool operator==(const ProcessTrace&, const ProcessTrace&) = default;
};

struct alignas(2 * kCacheLine) WorkerSlot {
  Word identity;
  Word start_time;
  Word stack;
  Word pid_namespace;
  Word attached_at;          ///< ticks
  std::array<Word, 3> name;  ///< up to 24 bytes, not terminated; any bytes
  Word sweeping;             ///< sweeps in progress in the tenant's threads; see tenancy.hpp
  Word quiet;                ///< a generation during which there was a moment without a sweep: tenancy.hpp
  Word lasting;  ///< 1: only death and exec drop the tenant's lock; otherwise closing a descriptor may
};
static_assert(sizeof(WorkerSlot) == 2 * kCacheLine);

}  // namespace weir::detail
