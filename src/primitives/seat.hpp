// SPDX-License-Identifier: Apache-2.0
#pragma once

// A seat in a queue, and the gate that says whether any seat is taken. docs/waiting.md has the protocol.
//
//   first    owner 20 | class 3 | arrival 41           0: free
//     owner    the worker whose request waits, so that a sweeper can free the seats of dead workers
//     class    1 to 5, the most urgent
//     arrival  when the request came, in units of 512 ns, modulo 2^41 (13 days)
//   second   beat 16 | absent 1 | asked 1 | lacks 8 | block 9 | user 29
//     beat     when the waiter last looked, in units of 16.8 ms
//     asked    another waiter, which goes after it, has rung it and waits until it looks
//     absent   it did not look when it was asked
//     lacks    what it lacked when it last looked: see Lacks
//     block    of its operation
//     user     bits of the hash of its user, which the entries of that user carry, too; 0: none
//   bell     how often it was rung; its low half is the futex on which the waiter sleeps
//
//   gate     epoch 63 | open 1
//   turn     how many requests were admitted while it was open; by it, turns are guaranteed to the classes
//
// Threads  two threads of one process that came within 512 ns of each other may have equal seats. If one of them is
//          pushed out and the other gets that very seat, both take it for theirs. Both are then admitted or refused as
//          any other request; one of them finds at the end that the seat is not its own.

#include <bit>
#include <cstdint>

#include "base/owner.hpp"
#include "base/ticks.hpp"
#include "base/word.hpp"

namespace weir::detail {

/// What a request needs or lacks: a set of kinds of limits, of its operation and of the whole segment.
enum class Lacks : std::uint8_t {
  nothing = 0,
  permits = 1 << 0,       ///< permits of the operation over all users
  quotas = 1 << 1,        ///< a rate or a window of it
  user_permits = 1 << 2,  ///< permits of the operation for the user
  user_quotas = 1 << 3,
  global_permits = 1 << 4,
  global_quotas = 1 << 5,
  global_user_permits = 1 << 6,  ///< permits that the user has over all operations
  global_user_quotas = 1 << 7,
};
[[nodiscard]] constexpr Lacks operator|(Lacks a, Lacks b) noexcept {
  return static_cast<Lacks>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Lacks operator&(Lacks a, Lacks b) noexcept {
  return static_cast<Lacks>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Lacks operator~(Lacks a) noexcept {
  return static_cast<Lacks>(~static_cast<unsigned>(a) & 0xff);
}
inline constexpr Lacks kOfUser =
    Lacks::user_permits | Lacks::user_quotas | Lacks::global_user_permits | Lacks::global_user_quotas;
inline constexpr Lacks kOfAllOperations =
    Lacks::global_permits | Lacks::global_quotas | Lacks::global_user_permits | Lacks::global_user_quotas;
inline constexpr Lacks kQuotas =
    Lacks::quotas | Lacks::user_quotas | Lacks::global_quotas | Lacks::global_user_quotas;

/// Of which requests, and what: needed, lacking or given back.
struct Wants {
  Lacks what = Lacks::nothing;
  std::uint32_t block = 0;  ///< of the operation
  std::uint32_t user = 0;   ///< as in a seat; 0: none

  /// What both of them are about: the same limit of all callers, or the limit of the same user.
  [[nodiscard]] constexpr Lacks in_common(const Wants& other) const noexcept {
    Lacks both = what & other.what;
    if (block != other.block) both = both & kOfAllOperations;
    if (user != other.user || user == 0) both = both & ~kOfUser;
    return both;
  }
  [[nodiscard]] constexpr Wants only(Lacks some) const noexcept { return {what & some, block, user}; }
  [[nodiscard]] constexpr bool concerns(const Wants& other) const noexcept {
    return in_common(other) != Lacks::nothing;
  }
};

/// The content of a seat.
struct Seated {
  static constexpr std::uint32_t kClasses = 5;
  static constexpr std::uint32_t kUserMask = (1U << 29) - 1;
  static constexpr std::uint64_t kArrivalMask = (std::uint64_t{1} << 41) - 1;
  static constexpr unsigned kArrivalShift = 16;  // 2^16 ticks = 512 ns
  static constexpr unsigned kBeatShift = 31;     // 2^31 ticks = 16.8 ms

  Owner owner{};
  std::uint32_t urgency = 0;  ///< the class
  std::uint64_t arrival = 0;  ///< ticks >> kArrivalShift, modulo 2^41
  std::uint32_t beat = 0;     ///< ticks >> kBeatShift, modulo 2^16
  bool absent = false;
  bool asked = false;
  Wants lacks{};

  [[nodiscard]] static constexpr Seated of(Pair pair) noexcept {
    return {
        Owner::from_bits(pair.first >> 44),
        static_cast<std::uint32_t>(pair.first >> 41 & 7),
        pair.first & kArrivalMask,
        static_cast<std::uint32_t>(pair.second >> 48),
        (pair.second >> 47 & 1) != 0,
        (pair.second >> 46 & 1) != 0,
        {static_cast<Lacks>(pair.second >> 38 & 0xff), static_cast<std::uint32_t>(pair.second >> 29 & 0x1ff),
         static_cast<std::uint32_t>(pair.second) & kUserMask}};
  }
  [[nodiscard]] constexpr Pair pair() const noexcept {
    return {owner.bits() << 44 | std::uint64_t{urgency & 7} << 41 | (arrival & kArrivalMask),
            std::uint64_t{beat & 0xffff} << 48 | std::uint64_t{absent} << 47 | std::uint64_t{asked} << 46 |
                static_cast<std::uint64_t>(lacks.what) << 38 | std::uint64_t{lacks.block & 0x1ff} << 29 |
                (lacks.user & kUserMask)};
  }
  [[nodiscard]] constexpr bool taken() const noexcept { return static_cast<bool>(owner); }

  [[nodiscard]] static constexpr std::uint32_t beat_at(std::uint64_t now) noexcept {
    return static_cast<std::uint32_t>(now >> kBeatShift) & 0xffff;
  }
  /// Whether the waiter answers: it has looked within about 100 ms, and is not marked absent. The clock of the waiter
  /// may be a little ahead of that of the process that asks.
  [[nodiscard]] constexpr bool present(std::uint64_t now) const noexcept {
    const std::uint32_t age = (beat_at(now) - beat) & 0xffff;
    return !absent && (age <= 6 || age == 0xffff);
  }
};

struct alignas(32) Seat {
  PairWord pair;
  Word bell;
  Word unused;

  /// A seat that changes while it is read may be read half old, half new. So it is only acted on by an exchange.
  [[nodiscard]] Pair load() const noexcept {
    const std::uint64_t first = pair.load_first(std::memory_order_acquire);
    return {first, pair.load_second(std::memory_order_acquire)};
  }
};
static_assert(sizeof(Seat) == 32);

/// Says whether any seat of the segment may be taken. It has a cache line of its own: every release reads it.
struct alignas(kCacheLine) Gate {
  Word word;
  Word turn;

  [[nodiscard]] static constexpr bool is_open(std::uint64_t word) noexcept { return (word & 1) != 0; }
  [[nodiscard]] bool is_open() const noexcept { return is_open(load()); }
  [[nodiscard]] std::uint64_t load() const noexcept { return word.load(std::memory_order_acquire); }

  /// After this, each release sees that the gate is open, or what it gave back is seen by the caller.
  void open() noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    // sync(gate): release; pairs with load(), so a process that sees this epoch also sees the seat, and does not shut the
    // gate over it.
    while (!word.compare_exchange(seen, (seen | 1) + 2, std::memory_order_release)) {
    }
    exchange_before_load();
  }
  /// Shuts the gate if no waiter has opened it since `seen` was loaded. Between the two, the caller has seen no seat
  /// taken.
  void shut(std::uint64_t seen) noexcept {
    if (is_open(seen)) (void)word.compare_exchange(seen, seen & ~std::uint64_t{1}, std::memory_order_relaxed);
  }
};

}  // namespace weir::detail
