#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "base/owner.hpp"
#include "plan/plan.hpp"
#include "policy/schema.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// The limits of each user, of a request that names no user.
inline constexpr UserSteps kNoUserSteps{};

/// The clock by which a request is decided, to be read again. Of a callable that outlives it.
class TickClock {
 public:
  TickClock() noexcept {}  // NOLINT(modernize-use-equals-default): until a request begins
  template <class Read>
  explicit TickClock(const Read& read) noexcept
      : read_([](const void* of) noexcept { return (*static_cast<const Read*>(of))(); }), of_(&read) {}

  /// Ticks since the segment's epoch.
  [[nodiscard]] std::uint64_t operator()() const noexcept { return read_(of_); }

 private:
  std::uint64_t (*read_)(const void*) noexcept;
  const void* of_;
};

/// A request: what it asks for, the limits that it passes, the words that it is decided over, and the moment.
struct Context {
  Context(const Sections& all, UserTable& table) noexcept : sections(all), user_table(table) {}

  /// Begins at the moment that a clock tells. Before that, nothing is decided.
  template <class Read>
  void begin(const Read& read) noexcept {
    clock = TickClock(read);
    now = read();
  }

  [[nodiscard]] TableFull when_full() const noexcept {
    return static_cast<TableFull>(sections.settings.when_full);
  }

  const Sections& sections;
  UserTable& user_table;
  const Plan* plan;        ///< of the operation
  const UserSteps* users;  ///< the limits of each user: of the plan, or of an override; empty without a user
  std::uint64_t turn;      ///< of the limits, under which they were compiled
  std::uint64_t now;       ///< what the clock said first; by now perhaps long ago
  TickClock clock;
  std::uint32_t cost;
  std::uint32_t weight;
  Owner owner{};           ///< the worker that will hold the permits; nobody: no permit is to be had
  std::uint32_t hint = 0;  ///< where the caller's thread looks for free permits first
  // Only of a request with limits of users:
  std::string_view name;  ///< of the user
  Hash128 user;
  UserKey key;  ///< of `user`
};

/// The id of a limit's entries in the user table.
[[nodiscard]] constexpr UserLimit entry_of(LimitId id, std::uint32_t part = 0) noexcept {
  return {static_cast<std::uint16_t>(id), static_cast<std::uint8_t>(part)};
}

}  // namespace weir::detail
