// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tells CLOCK_MONOTONIC between two looks at it, by a counter that all cores share and that never stops: the
// TSC on x86-64, the virtual counter on arm64. Reading the counter costs half as much as reading the clock.
//
// This is the state of one thread. The counter is trusted for kSpanNs after an anchor, which is a moment at
// which the clock and the counter were read together; then the next anchor is taken. The rate is measured
// between two looks that lie 17 ms or more apart, rounded down, and made 0.05 % slower, so that a reading
// lags and does not run ahead.
//
// Lag       at most kMaxLagNs; usually a few tens of ns.
// Ahead     never.
// Slewing   both hold while NTP steers the clock by less than 0.04 %. When it slews by x more than that, the
//           lag or the lead grows by x of kSpanNs: 64 ns at 0.1 %. Each anchor checks the rate and discards a
//           wrong one.
// Jumps     never ahead by more than kSpanNs, whatever the counter does: a virtual machine may move to
//           another host. (A process that is forked into another time namespace tells its parent's time for
//           as long.)
// Order     readings of one thread never go back.
// Trap      a look that was interrupted between its parts is recognised by its width, and is never used as an
//           anchor.

#include <algorithm>
#include <cstdint>
#include <optional>

namespace weir::detail {

class TscAnchor {
 public:
  static constexpr std::int64_t kSpanNs = 64'000;
  static constexpr std::int64_t kMaxWidthNs = 200;  // of an anchor: 50 is usual, an interrupt takes 1000
  static constexpr std::int64_t kMaxLagNs = 300;    // an anchor's width, and what kSpanNs lags at 0.1 %
  static constexpr std::int64_t kFirstBaseLineNs = std::int64_t{1} << 24;  // 17 ms
  static constexpr std::int64_t kLastBaseLineNs = std::int64_t{1} << 34;
  static constexpr int kDoubtShift = 14;   // 0.006 %: how much of the base line the looks' widths may be
  static constexpr int kMarginShift = 11;  // 0.05 %: the kernel's own NTP loop steers by no more than this

  /// The clock was read after the counter said `before`, and before it said `after`.
  struct Look {
    std::uint64_t before;
    std::int64_t ns;
    std::uint64_t after;
  };

  /// @return the time; nothing if the anchor is too old or was never taken: then look, and call anchor().
  [[nodiscard]] std::optional<std::int64_t> read(std::uint64_t tsc) noexcept {
    const std::uint64_t ticks = tsc - tsc_;  // huge if the counter went back
    if (ticks >= span_ticks_) return std::nullopt;
    return last_ns_ = std::max(last_ns_, ns_ + static_cast<std::int64_t>((ticks * rate_) >> 32));
  }

  /// Starts again from `look`. @return the time.
  std::int64_t anchor(const Look& look) noexcept {
    span_ticks_ = 0;
    if (look.before <= look.after) learn(look);  // otherwise the counter went back during the look
    // A fork can lead into another time namespace, whose clock may stand anywhere.
    if (last_ns_ - look.ns > kSpanNs) last_ns_ = look.ns;
    return last_ns_ = std::max(last_ns_, look.ns);
  }

 private:
  __extension__ using Wide = __int128;

  [[nodiscard]] std::int64_t ns_from(std::uint64_t earlier, std::uint64_t later) const noexcept {
    const auto ticks = static_cast<std::int64_t>(later - earlier);  // negative if the counter went back
    return static_cast<std::int64_t>((Wide{ticks} * static_cast<std::int64_t>(rate_)) >> 32);
  }

  void learn(const Look& look) noexcept {
    if (rate_ != 0 && !agrees(look)) forget(look);
    if (rate_ == 0) calibrate(look);
    if (rate_ == 0 || !narrow(look)) return;
    tsc_ = look.after;
    ns_ = look.ns;
    span_ticks_ = (static_cast<std::uint64_t>(kSpanNs) << 32) / rate_;
  }

  static std::uint64_t width(const Look& look) noexcept { return look.after - look.before; }
  [[nodiscard]] bool narrow(const Look& look) const noexcept {
    return ns_from(look.before, look.after) <= kMaxWidthNs;
  }

  // Whether the last anchor predicted this look: the prediction is not ahead of the clock, and not slower
  // than the margin explains.
  [[nodiscard]] bool agrees(const Look& look) const noexcept {
    const std::int64_t earliest = ns_from(tsc_, look.before);
    const std::int64_t latest = ns_from(tsc_, look.after);
    const std::int64_t truth = look.ns - ns_;
    return earliest <= truth && truth - latest <= kMaxWidthNs + (latest >> (kMarginShift - 1));
  }

  // After each wrong rate the clock must be measured over a longer base line.
  void forget(const Look& look) noexcept {
    rate_ = 0;
    first_ = look;
    base_line_ns_ = std::min(base_line_ns_ * 2, kLastBaseLineNs);
  }

  void calibrate(const Look& look) noexcept {
    const auto ticks = static_cast<std::int64_t>(look.after - first_.before);  // the most it can have been
    const std::int64_t ns = look.ns - first_.ns;
    if (first_.ns == 0 || ticks <= 0 || ns < 0) {
      first_ = look;
      return;
    }
    if (ns < base_line_ns_) return;
    const std::uint64_t doubt = width(first_) + width(look);
    if (doubt > static_cast<std::uint64_t>(ticks) >> kDoubtShift) {
      if (width(first_) > width(look)) first_ = look;
      return;
    }
    const auto rate = static_cast<std::uint64_t>((Wide{ns} << 32) / ticks);
    rate_ = rate - (rate >> kMarginShift);
    tsc_ = look.after;
    ns_ = look.ns;
    if (!narrow(look)) rate_ = 0;  // the next look is used instead
  }

  std::uint64_t tsc_ = 0;
  std::uint64_t span_ticks_ = 0;  // 0: not anchored
  std::uint64_t rate_ = 0;        // ns per tick, times 2^32; 0: not known yet
  std::int64_t ns_ = 0;
  std::int64_t last_ns_ = 0;

  Look first_{};
  std::int64_t base_line_ns_ = kFirstBaseLineNs;
};

}  // namespace weir::detail
