// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parameters of a limit in one word, so that a live change is one store and no process reads a mixture.
//
//   rate      burst 25 | interval 39     see packed_rate.hpp
//   window    limit 26 | kind 3 | length 35, in ms
//   permits   limit
//   cooldown  refusals 8 | length 40, in ms
// 0: no such limit. Any word unpacks to something: what a damaged one says is nonsense, but harmless.

#include <algorithm>
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

}  // namespace packed

[[nodiscard]] constexpr std::uint64_t whole_ms(std::chrono::nanoseconds length) noexcept {
  return static_cast<std::uint64_t>((length.count() + 999'999) / 1'000'000);
}

}  // namespace weir::detail
