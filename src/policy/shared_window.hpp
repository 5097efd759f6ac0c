#pragma once

// A window over all callers, whichever kind it is of.
//
// Its params are loaded once, and its kind is a part of them. Each kind keeps its words apart from those of
// the others, so that a worker that was stopped between looking a window up and using it, while the window
// became another one, writes nothing that the new one would believe: a log its hint and times (even, or given
// back) in its cells, a ring its counts (odd) in its cells, a fixed window its count in the record's state. A
// live change goes further: it leaves the record alone and lets another one take over (write_block()).

#include <cstdint>
#include <span>

#include "policy/blocks.hpp"
#include "primitives/fixed_window.hpp"
#include "primitives/window_log.hpp"
#include "primitives/window_ring.hpp"

namespace weir::detail {

class SharedWindow {
 public:
  SharedWindow() = default;
  /// @param cells   the section of all windows' cells.
  /// @param origin  when a fixed window of this length begins: fixed_origin().
  SharedWindow(LimitRecord& record, std::span<Word> cells, std::uint64_t created_wall_ns) noexcept
      : record_(&record),
        cells_(CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(cells)),
        created_wall_ns_(created_wall_ns) {
    const packed::WindowParams window = packed::to_window(record.params.load(std::memory_order_relaxed));
    kind_ = window.kind;
    params_ = {window.length(), window.limit};
    // Damage: without cells there is nothing to count in. Counting in aligned windows needs none.
    if (cells_.size() < 2) kind_ = WindowKind::fixed;
  }

  [[nodiscard]] std::uint64_t wait(std::uint64_t now, std::uint32_t cost) const noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().wait(params_, now, cost);
      case WindowKind::ring:
        return WindowRing(cells_).wait(params_, now, cost);
      default:
        return fixed().wait(fixed_params(), now, cost);
    }
  }

  std::uint64_t admit(std::uint64_t now, std::uint32_t cost) noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().admit(params_, now, cost);
      case WindowKind::ring:
        return WindowRing(cells_).admit(params_, now, cost);
      default:
        return fixed().admit(fixed_params(), now, cost);
    }
  }

  void refund(std::uint64_t now, std::uint32_t cost, std::uint64_t charged_at) noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().refund(params_, now, cost, charged_at);
      case WindowKind::ring:
        return WindowRing(cells_).refund(params_, now, cost, charged_at);
      default:
        return fixed().refund(fixed_params(), now, cost, charged_at);
    }
  }

  void charge(std::uint64_t now, std::uint32_t cost) noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().charge(params_, now, std::min(cost, params_.limit));
      case WindowKind::ring:
        return WindowRing(cells_).charge(params_, now, cost);
      default:
        return fixed().charge(fixed_params(), now, cost);
    }
  }

  [[nodiscard]] std::uint32_t available(std::uint64_t now) const noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().available(params_, now);
      case WindowKind::ring:
        return WindowRing(cells_).available(params_, now);
      default:
        return fixed().available(fixed_params(), now);
    }
  }

  [[nodiscard]] std::uint64_t full_in(std::uint64_t now) const noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().full_in(params_, now);
      case WindowKind::ring:
        return WindowRing(cells_).full_in(params_, now);
      default:
        return fixed().full_in(fixed_params(), now);
    }
  }

  /// Shows what is counted to visit(key, time, count): `key` is that of the same admissions at every look,
  /// `time` the latest that they can have come.
  template <class Visit>
  void for_each_count(std::uint64_t now, Visit&& visit) const {
    switch (kind_) {
      case WindowKind::log:
        return log().for_each_time(params_, now, [&](std::uint64_t time) { visit(time, time, 1U); });
      case WindowKind::ring:
        return WindowRing(cells_).for_each_count(params_, now, visit);
      default: {
        const fixed_window::Count seen = fixed().read(fixed_params(), now);
        return visit(now + seen.expires_in, now, seen.count);
      }
    }
  }

  void reset() noexcept {
    switch (kind_) {
      case WindowKind::log:
        return log().reset();
      case WindowKind::ring:
        return WindowRing(cells_).reset();
      default:
        return fixed().reset();
    }
  }

  /// The count of a fixed window, which goes on above the limit, and when it starts anew.
  fixed_window::Count add(std::uint64_t now, std::uint32_t n) noexcept {
    return fixed().add(fixed_params(), now, n);
  }

  [[nodiscard]] bool is_fixed() const noexcept { return kind_ == WindowKind::fixed; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return params_.limit; }

  friend bool operator==(const SharedWindow& a, const SharedWindow& b) noexcept {
    return a.record_ == b.record_ && a.cells_.data() == b.cells_.data() &&
           a.cells_.size() == b.cells_.size() && a.kind_ == b.kind_ && a.params_ == b.params_ &&
           a.created_wall_ns_ == b.created_wall_ns_;
  }

  /// Aligned windows of that length begin here (ticks): at its multiples in UTC, as the wall clock told it
  /// when the segment was created. Later steps of the wall clock do not move them.
  [[nodiscard]] static std::uint64_t fixed_origin(std::uint64_t length_ms,
                                                  std::uint64_t created_wall_ns) noexcept {
    const std::uint64_t length_ns = length_ms * 1'000'000;
    const std::uint64_t into = created_wall_ns % length_ns;
    return into == 0 ? 0 : ticks_from_ns(length_ns - into);
  }
  [[nodiscard]] static FixedWindowParams fixed_params(packed::WindowParams window,
                                                      std::uint64_t created_wall_ns) noexcept {
    return {window.length(), fixed_origin(window.length_ms, created_wall_ns), window.limit};
  }

 private:
  [[nodiscard]] WindowLog log() const noexcept { return {cells_.subspan(1), cells_.front()}; }
  [[nodiscard]] FixedWindow fixed() const noexcept { return FixedWindow(record_->state); }
  [[nodiscard]] FixedWindowParams fixed_params() const noexcept {
    const std::uint64_t length_ms = params_.length / kTicksPerMs;
    return {params_.length, fixed_origin(length_ms, created_wall_ns_), params_.limit};
  }

  LimitRecord* record_ = nullptr;
  std::span<Word> cells_;
  WindowKind kind_ = WindowKind::log;
  WindowParams params_;
  std::uint64_t created_wall_ns_ = 0;
};

}  // namespace weir::detail
