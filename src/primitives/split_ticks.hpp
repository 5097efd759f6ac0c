// SPDX-License-Identifier: Apache-2.0
#pragma once

// Time under a rate whose interval is not a whole number of ticks.
//
// Of three tokens a second one comes every 333,333,333 1/3 ns. If the interval were rounded up to ticks, the
// third token would come after the whole second, and the delay would grow with every token. So the times and
// durations of such a rate count their last bits in parts that divide its interval:
//
//   quanta of 2^bits ticks | parts of a quantum, `bits` wide       parts < parts of a quantum <= 2^bits
//
// A quantum is one nanosecond for up to 128 parts and at most 64 ns, so that milliseconds are whole quanta.
//
// Order    such values compare as numbers do, and a number of ticks is at most one quantum away from what it
//          means here. So a word keeps its meaning, to within a quantum, when its rate is changed.
// Exact    `now` is rounded down where it pays a debt and up where a debt begins. So no request passes
//          early, and one at a whole quantum passes as soon as the exact rate allows it.

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/ticks.hpp"

namespace weir::detail {

class SplitTicks {
 public:
  static constexpr std::uint32_t kMaxParts = 8191;

  /// @param parts  of a quantum: 1 to kMaxParts.
  constexpr explicit SplitTicks(std::uint32_t parts) noexcept
      : parts_(parts),
        bits_(std::max(kTickShift, static_cast<unsigned>(std::bit_width(parts - 1)))),
        low_((std::uint64_t{1} << bits_) - 1) {}

  [[nodiscard]] constexpr unsigned bits() const noexcept { return bits_; }

  /// The nearest whole quantum, which is a number of ticks, too. A wait is rounded up: a caller that waits
  /// this long is never early.
  [[nodiscard]] constexpr std::uint64_t down(std::uint64_t ticks) const noexcept { return ticks & ~low_; }
  [[nodiscard]] constexpr std::uint64_t up(std::uint64_t ticks) const noexcept {
    return (ticks + low_) & ~low_;
  }
  /// A word that may have been written in other parts, or in ticks.
  [[nodiscard]] constexpr std::uint64_t from_word(std::uint64_t word) const noexcept {
    return (word & low_) < parts_ ? word : up(word);
  }

  [[nodiscard]] constexpr std::uint64_t from_parts(std::uint64_t parts) const noexcept {
    return parts / parts_ << bits_ | parts % parts_;
  }
  [[nodiscard]] constexpr std::uint64_t to_parts(std::uint64_t value) const noexcept {
    return (value >> bits_) * parts_ + (value & low_);
  }

  [[nodiscard]] constexpr std::uint64_t plus(std::uint64_t a, std::uint64_t b) const noexcept {
    const bool carry = (a & low_) + (b & low_) >= parts_;
    return a + b + (carry ? unused() : 0);
  }
  /// @param b  at most a.
  [[nodiscard]] constexpr std::uint64_t minus(std::uint64_t a, std::uint64_t b) const noexcept {
    const bool borrow = (a & low_) < (b & low_);
    return a - b - (borrow ? unused() : 0);
  }
  [[nodiscard]] constexpr std::uint64_t times(std::uint64_t duration, std::uint32_t n) const noexcept {
    return (((duration >> bits_) * n) << bits_) + from_parts((duration & low_) * n);
  }

 private:
  /// What a carry skips: the values of the low bits that are not parts.
  [[nodiscard]] constexpr std::uint64_t unused() const noexcept { return low_ + 1 - parts_; }

  std::uint32_t parts_;
  unsigned bits_;
  std::uint64_t low_;
};

}  // namespace weir::detail
