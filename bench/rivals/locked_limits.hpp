// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits of limits.hpp as plain numbers under one lock, which is taken to admit and again to release.
//
// They do less than ours: they do not know which process holds a permit, so that a killed one keeps it, and their
// limits cannot change. The clock is read and a user's line is fetched before the lock is taken.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string_view>

#include "base/hash.hpp"
#include "floors.hpp"
#include "primitives/token_bucket.hpp"

namespace weir::rivals {

/// kWide.
inline constexpr detail::TokenBucketParams kWideBucket{.emission_interval = 12'800, .burst = 1'000'000'000};

inline std::uint64_t now_ticks() {
  return detail::ticks_from_ns(now_ns());
}

template <class Lock>
class LockedRate {
 public:
  bool admit() noexcept {
    const std::uint64_t now = now_ticks();
    const std::scoped_lock locked(lock_);
    const detail::gcra::Judgement judged = detail::gcra::judge(kWideBucket, tat_, now, 1);
    if (judged.wait == 0) tat_ = judged.charged;
    return judged.wait == 0;
  }

 private:
  alignas(64) Lock lock_;
  std::uint64_t tat_ = 0;
};

template <class Lock>
class LockedFiveLimits {
 public:
  struct User {
    std::uint64_t tag;
    std::uint64_t tat;
    std::uint32_t held;
  };

  static std::size_t entries_for(std::int64_t users) { return static_cast<std::size_t>(users) * 4 / 3 + 1; }

  explicit LockedFiveLimits(std::span<User> users) noexcept : users_(users) {}

  /// @return what release() takes, or null if refused
  User* admit(std::string_view name) noexcept {
    const detail::Hash128 hash = hasher_(name);
    const std::size_t home = detail::scaled(hash.low, users_.size());
    __builtin_prefetch(&users_[home], 1);
    const std::uint64_t now = now_ticks();
    const std::scoped_lock locked(lock_);
    User& user = find(home, hash.high);
    const detail::gcra::Judgement of_all = detail::gcra::judge(kWideBucket, global_tat_, now, 1);
    const detail::gcra::Judgement of_operation = detail::gcra::judge(kWideBucket, operation_tat_, now, 1);
    const detail::gcra::Judgement of_user = detail::gcra::judge(kWideBucket, user.tat, now, 1);
    if (failures_ >= 5 || in_use_ >= 64 || user.held >= 4 || of_all.wait != 0 || of_operation.wait != 0 ||
        of_user.wait != 0)
      return nullptr;
    global_tat_ = of_all.charged;
    operation_tat_ = of_operation.charged;
    user.tat = of_user.charged;
    ++in_use_, ++user.held;
    return &user;
  }

  void release(User& user) noexcept {
    const std::scoped_lock locked(lock_);
    --in_use_, --user.held;
  }

 private:
  User& find(std::size_t at, std::uint64_t tag) noexcept {
    while (users_[at].tag != 0 && users_[at].tag != tag) at = at + 1 < users_.size() ? at + 1 : 0;
    users_[at].tag = tag;
    return users_[at];
  }

  // The lock and what it guards share one line, so that a process waits for one line only.
  alignas(64) Lock lock_;
  std::uint64_t global_tat_ = 0;
  std::uint64_t operation_tat_ = 0;
  std::uint32_t in_use_ = 0;
  std::uint32_t failures_ = 0;
  alignas(64) detail::KeyHasher hasher_{{1, 2}};
  std::span<User> users_;
};

}  // namespace weir::rivals
