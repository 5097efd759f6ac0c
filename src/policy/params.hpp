// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parameters of a limit in one word, so that a live change is one store and no process reads a mixture.
//
//   rate      burst 25 | interval 39     see packed_rate.hpp
//   window    limit 26 | kind 3 | length 35, in ms
//   permits   limit
//   cooldown  refusals 8 | length 40, in ms
//   queue     seats 11 | lifo 1 | push_out 1 | shares 4 x 5 | timeout 22, in ms; without seats it keeps the rest
// 0: no such limit. Any word unpacks to something: what a damaged one says is nonsense, but harmless.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "weir/policy.hpp"

#include "base/ticks.hpp"
#include "policy/packed_rate.hpp"
#include "primitives/owner_set.hpp"

namespace weir::detail {

inline constexpr std::uint64_t kTicksPerMs = ticks_from_ns(1'000'000);
/// A user's permits fill at most sixteen entries: the part of an entry has four bits.
inline constexpr std::uint32_t kMaxUserPermits = 16 * owner_set::kPermitsPerSet;
inline constexpr std::uint32_t kMaxWindowLimit = (std::uint32_t{1} << 26) - 1;
inline constexpr std::uint64_t kMaxWindowMs = std::uint64_t{366} * 24 * 3600 * 1000;
inline constexpr std::uint64_t kMaxTimeoutMs = std::uint64_t{3600} * 1000;
inline constexpr std::uint32_t kTurns = 16;  ///< those of which a queue guarantees some to a class

[[nodiscard]] constexpr std::uint64_t whole_ms(std::chrono::nanoseconds length) noexcept {
  return static_cast<std::uint64_t>((length.count() + 999'999) / 1'000'000);
}

namespace packed {

struct WindowParams {
  std::uint32_t limit = 0;
  WindowKind kind = WindowKind::log;
  std::uint64_t length_ms = 0;

  [[nodiscard]] constexpr std::uint64_t length() const noexcept { return length_ms * kTicksPerMs; }
};

[[nodiscard]] constexpr std::uint64_t window(WindowParams params) noexcept {
  return std::uint64_t{params.limit} << 38 | static_cast<std::uint64_t>(params.kind) << 35 | params.length_ms;
}

[[nodiscard]] constexpr WindowParams to_window(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 38), static_cast<WindowKind>(word >> 35 & 7),
          std::clamp<std::uint64_t>(word & ((std::uint64_t{1} << 35) - 1), 1, kMaxWindowMs)};
}

struct CooldownParams {
  std::uint32_t refusals = 1;
  std::uint64_t length_ms = 0;

  [[nodiscard]] constexpr std::uint64_t length() const noexcept { return length_ms * kTicksPerMs; }
};

[[nodiscard]] constexpr std::uint64_t cooldown(CooldownParams params) noexcept {
  return std::uint64_t{params.refusals} << 40 | params.length_ms;
}

[[nodiscard]] constexpr CooldownParams to_cooldown(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> 40 & 0xff),
          std::min<std::uint64_t>(word & ((std::uint64_t{1} << 40) - 1), kMaxWindowMs)};
}

[[nodiscard]] constexpr std::uint64_t queue(const Queue& queue) noexcept {
  std::uint64_t shares = 0;
  for (const std::uint8_t share : queue.shares) shares = shares << 5 | share;
  return std::uint64_t{queue.seats} << 44 | static_cast<std::uint64_t>(queue.order) << 43 |
         std::uint64_t{queue.push_out} << 42 | shares << 22 | whole_ms(queue.timeout);
}

/// Any word is a queue within the bounds of the configuration.
[[nodiscard]] constexpr Queue to_queue(std::uint64_t word) noexcept {
  Queue queue;
  queue.seats = std::min(static_cast<std::uint32_t>(word >> 44 & 0x7ff), kMaxSeats);
  queue.order = (word >> 43 & 1) != 0 ? QueueOrder::lifo : QueueOrder::fifo;
  queue.push_out = (word >> 42 & 1) != 0;
  std::uint32_t left = kTurns;
  for (std::uint32_t i = 0; i < queue.shares.size(); ++i) {
    const auto share = std::min(static_cast<std::uint32_t>(word >> (37 - 5 * i) & 0x1f), left);
    queue.shares[i] = static_cast<std::uint8_t>(share);
    left -= share;
  }
  queue.timeout = std::chrono::milliseconds(
      std::clamp<std::uint64_t>(word & ((std::uint64_t{1} << 22) - 1), 1, kMaxTimeoutMs));
  return queue;
}

}  // namespace packed

}  // namespace weir::detail
