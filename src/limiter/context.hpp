// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "weir/clock.hpp"
#include "weir/limiter.hpp"

#include "base/fast_clock.hpp"
#include "base/hash.hpp"
#include "base/owner.hpp"
#include "base/this_thread.hpp"
#include "plan/plan.hpp"
#include "policy/schema.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// The limits of each user, of a request that names no user.
inline constexpr UserSteps kNoUserSteps{};

/// Reads the clock again, for a request that has been worked on for a while.
struct LaterClock {
  HostClock::time_point (*now)(const LaterClock&) noexcept;
};

/// The time at which a request is decided: as it passes, or a moment that the caller chose. later() is nullptr for the
/// latter, since it does not pass.
struct TimePasses {
  static constexpr LaterClock kLater{[](const LaterClock& /*self*/) noexcept { return FastClock::now(); }};

  [[nodiscard]] HostClock::time_point operator()() const noexcept { return FastClock::now(); }
  [[nodiscard]] static const LaterClock* later() noexcept { return &kLater; }
};
struct TimeStands {
  HostClock::time_point at;

  [[nodiscard]] HostClock::time_point operator()() const noexcept { return at; }
  [[nodiscard]] static const LaterClock* later() noexcept { return nullptr; }
};

/// A request as it is decided: what it asks for, the limits that it passes, their words, and the moment.
struct Context {
  // What a request does not need is left uninitialised, which saves the stores.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  Context(const Sections& all, UserTable& table, const Request& asked) noexcept
      : sections(all), user_table(table), request(asked) {}

  /// Fixes the moment of the request. Call it before anything is decided.
  template <class Time>
  void begin(const Time& time) noexcept {
    now = ticks_at(sections, time());
    later = time.later();
  }

  /// What the clock says now, in ticks since the segment's epoch.
  [[nodiscard]] std::uint64_t clock() const noexcept {
    return later == nullptr ? now : ticks_at(sections, later->now(*later));
  }

  [[nodiscard]] TableFull when_full() const noexcept {
    return static_cast<TableFull>(sections.settings.when_full);
  }

  /// What this process has taken of a rate in advance, if the request may spend of it: a lease is void when the clock
  /// says so, and not at a moment that the caller chose.
  [[nodiscard]] Lease* lease_of(const RateStep& step) const noexcept {
    return later != nullptr ? step.lease : nullptr;
  }

  /// Where this thread looks for free permits first. Workers of one thread each begin in lines of their own.
  [[nodiscard]] std::uint32_t hint(const PermitStep& step) const noexcept {
    return step.first_look.hint(owner.slot() + 3 * this_thread::stacks_away(this));
  }

  const Sections& sections;
  UserTable& user_table;
  const Request& request;
  const Plan* plan;         ///< of the operation
  const UserSteps* users;   ///< the limits of each user: of the plan, or of an override; empty without a user
  std::uint64_t turn;       ///< of the limits, under which they were compiled
  std::uint64_t now;        ///< what the clock said first; by now perhaps long ago
  const LaterClock* later;  ///< nullptr: the clock always says `now`
  Owner owner;              ///< the worker that will hold the permits; empty: it can get no permit
  Hash128 user;             ///< of a request with limits of users
  UserKey key;              ///< of `user`
};

/// The id of a limit's entries in the user table.
[[nodiscard]] constexpr UserLimit entry_of(LimitId id, std::uint32_t part = 0) noexcept {
  return {static_cast<std::uint16_t>(id), static_cast<std::uint8_t>(part)};
}

}  // namespace weir::detail
