// SPDX-License-Identifier: Apache-2.0
#pragma once

// A flat user table under one robust process-shared mutex, which is the obvious way to share one between processes
// that may die. It uses none of our algorithms: it probes linearly over {tag, TAT}.

#include <cstdint>
#include <mutex>
#include <span>

#include "base/hash.hpp"
#include "primitives/token_bucket.hpp"
#include "rivals/locks.hpp"

namespace weir::rivals {

class MutexTable {
 public:
  struct Entry {
    std::uint64_t tag;
    std::uint64_t tat;
  };

  explicit MutexTable(std::span<Entry> entries) noexcept : entries_(entries) {}

  void prefetch(detail::Hash128 user) const noexcept { __builtin_prefetch(&entries_[home(user)], 1); }

  bool admit(detail::Hash128 user, detail::TokenBucketParams params, std::uint64_t now) noexcept {
    const std::scoped_lock locked(mutex_);
    Entry& entry = find(user);
    const detail::gcra::Judgement judged = detail::gcra::judge(params, entry.tat, now, 1);
    const bool admitted = judged.wait == 0;
    if (admitted) entry.tat = judged.charged;
    return admitted;
  }

 private:
  [[nodiscard]] std::size_t home(detail::Hash128 user) const noexcept {
    return detail::scaled(user.low, entries_.size());
  }
  Entry& find(detail::Hash128 user) noexcept {
    std::size_t at = home(user);
    while (entries_[at].tag != user.high) {
      if (entries_[at].tag == 0)
        entries_[at].tag = user.high;
      else
        at = at + 1 < entries_.size() ? at + 1 : 0;
    }
    return entries_[at];
  }

  alignas(64) RobustMutex mutex_;
  alignas(64) std::span<Entry> entries_;  // read without the mutex
};

}  // namespace weir::rivals
