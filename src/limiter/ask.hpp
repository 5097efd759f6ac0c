#pragma once

#include <cstdint>
#include <string_view>

#include "base/hash.hpp"
#include "base/owner.hpp"
#include "limiter/limit_set.hpp"
#include "policy/schema.hpp"
#include "users/table.hpp"

namespace weir::detail {

/// What one request asks for.
struct Ask {
  LimitSet limits;
  std::uint64_t turn = 0;  ///< of the limits, before they were looked up
  std::string_view name;   ///< of the user; empty: none, and no limits per user
  Hash128 user{};
  UserKey key{};  ///< of `user`
  std::uint32_t cost = 1;
  std::uint32_t weight = 1;
  Owner owner{};           ///< who will hold the permits; nobody: all bulkheads shed
  std::uint32_t home = 0;  ///< where the caller's thread looks for free permits first
};

/// The clock by which a request is decided, to be read again. Of a callable that outlives it.
class TickClock {
 public:
  template <class Read>
  explicit TickClock(const Read& read) noexcept
      : read_([](const void* of) noexcept { return (*static_cast<const Read*>(of))(); }), of_(&read) {}

  /// Ticks since the segment's epoch.
  [[nodiscard]] std::uint64_t operator()() const noexcept { return read_(of_); }

 private:
  std::uint64_t (*read_)(const void*) noexcept;
  const void* of_;
};

/// A request at one moment, and the words it is decided over.
struct Context {
  const Sections& sections;
  UserTable& users;
  const Ask& ask;
  TickClock clock;
  std::uint64_t now;  ///< what it said first; by now perhaps long ago

  template <class Read>
  Context(const Sections& in, UserTable& table, const Ask& request, const Read& read) noexcept
      : sections(in), users(table), ask(request), clock(read), now(read()) {}

  [[nodiscard]] TableFull when_full() const noexcept {
    return static_cast<TableFull>(sections.settings.when_full);
  }
};

/// The id of a limit's entries in the user table.
[[nodiscard]] constexpr UserLimit entry_of(LimitId id, std::uint32_t part = 0) noexcept {
  return {static_cast<std::uint16_t>(id), static_cast<std::uint8_t>(part)};
}

}  // namespace weir::detail
