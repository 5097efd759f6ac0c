// SPDX-License-Identifier: Apache-2.0
#pragma once

// The leases of this process, each for one rate as it is configured.
//
// A lease stays with its rate until the limiter is destroyed, because plans point to it. When a live change gives a
// limit another rate, the new rate gets another lease, and the tokens of the one before are not spent any more, not even
// when the rate before comes back: requests may have been judged meanwhile as if nothing were leased. When all leases are
// given out, rates go without.
//
//   key     id | params | changed, in memory that a fork copies, as it copies the plans
//   lease   in memory that the kernel clears in a child
//
// Change    a live change stores `changed` before it stores that a rate is leased, and before params; compile_plan()
//           reads `changed` last. So wherever a change is killed, a process that sees what it stored spends nothing that
//           was leased before.
// Threads   lock-free. A key is claimed by its id, and found once its params are there. A thread that meets a key
//           whose params are not there yet takes another one, so a rate may have two leases: both are right.

#include <array>
#include <atomic>
#include <cstdint>
#include <new>

#include "weir/decision.hpp"

#include "base/wiped_memory.hpp"
#include "primitives/lease.hpp"

namespace weir::detail {

class LeasePool {
 public:
  LeasePool() noexcept {
    if (void* const memory = map_wiped(sizeof(Leases)); memory != nullptr) leases_ = new (memory) Leases;
  }
  LeasePool(const LeasePool&) = delete;
  LeasePool& operator=(const LeasePool&) = delete;
  ~LeasePool() {
    if (leases_ != nullptr) unmap_wiped(leases_, sizeof(Leases));
  }

  /// The lease of a rate.
  /// @param params   the rate as it is packed, which is not 0.
  /// @param changed  when it was changed last. What was taken before that is not spent any more.
  /// @return nullptr: none is left, or the kernel cannot clear memory in a child.
  [[nodiscard]] Lease* of(LimitId id, std::uint64_t params, std::uint64_t changed) noexcept {
    if (leases_ == nullptr) return nullptr;
    for (std::size_t i = 0; i < kLeases; ++i) {
      std::uint32_t owner = kFree;
      const auto mine = static_cast<std::uint32_t>(id);
      if (keys_[i].id.compare_exchange_strong(owner, mine, std::memory_order_relaxed)) {
        keys_[i].changed.store(changed, std::memory_order_relaxed);
        keys_[i].params.store(params, std::memory_order_relaxed);
        return &(*leases_)[i];
      }
      if (owner != mine || keys_[i].params.load(std::memory_order_relaxed) != params) continue;
      Lease& lease = (*leases_)[i];
      if (keys_[i].changed.exchange(changed, std::memory_order_relaxed) != changed) lease.give_up();
      return &lease;
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t kLeases = 256;
  static constexpr std::uint32_t kFree = 0;  // LimitId::none

  struct Key {
    std::atomic<std::uint32_t> id{kFree};
    std::atomic<std::uint64_t> params{0};
    std::atomic<std::uint64_t> changed{0};
  };
  using Leases = std::array<Lease, kLeases>;

  std::array<Key, kLeases> keys_;
  Leases* leases_ = nullptr;
};

}  // namespace weir::detail
