// SPDX-License-Identifier: Apache-2.0
#pragma once

// A window over all callers, of any kind.
//
// Its params, which include its kind, are loaded once. A worker may be stopped between that and using the window,
// while the window becomes one of another kind. What the worker then writes must mean nothing to the new kind, so
// each kind keeps words that the others do not take for their own: a log keeps its hint and its times (even numbers,
// or given back) in its cells, a ring keeps its counts (odd numbers) in its cells, and a fixed window keeps its
// count in the record's state. A live change goes further: it leaves the record alone and lets another record take
// over (write_block()).

#include <cstdint>
#include <span>
#include <type_traits>

#include "policy/blocks.hpp"
#include "primitives/fixed_window.hpp"
#include "primitives/window_log.hpp"
#include "primitives/window_ring.hpp"

namespace weir::detail {

/// @tparam Cell  Word, or const Word for a process that only looks.
template <class Cell>
class BasicSharedWindow {
 public:
  using Record = std::conditional_t<std::is_const_v<Cell>, const LimitRecord, LimitRecord>;

  BasicSharedWindow() = default;
  /// @param cells  the section with the cells of all windows.
  BasicSharedWindow(Record& record, std::span<Cell> cells, std::uint64_t created_wall_ns) noexcept
      : record_(&record),
        cells_(CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(cells)),
        created_wall_ns_(created_wall_ns) {
    const packed::WindowParams window = packed::to_window(record.params.load(std::memory_order_relaxed));
    kind_ = window.kind;
    params_ = {window.length(), window.limit};
    // A damaged record may have no cells to count in. A fixed window needs none.
    if (cells_.size() < 2) kind_ = WindowKind::fixed;
  }

  [[nodiscard]] std::uint64_t wait(std::uint64_t now, std::uint32_t cost) const noexcept {
    return visit([&](auto window, auto params) { return window.wait(params, now, cost); });
  }
  std::uint64_t admit(std::uint64_t now, std::uint32_t cost) noexcept {
    return visit([&](auto window, auto params) { return window.admit(params, now, cost); });
  }
  void refund(std::uint64_t now, std::uint32_t cost, std::uint64_t charged_at) noexcept {
    visit([&](auto window, auto params) { window.refund(params, now, cost, charged_at); });
  }
  void charge(std::uint64_t now, std::uint32_t cost) noexcept {
    // A log has few cells beyond its limit: a larger charge would only push out older times.
    charge_all(now, kind_ == WindowKind::log ? std::min(cost, params_.limit) : cost);
  }
  /// Charges beyond the limit of a log, too: it may have taken over from a higher limit, and a higher one may follow.
  void charge_all(std::uint64_t now, std::uint32_t cost) noexcept {
    visit([&](auto window, auto params) { window.charge(params, now, cost); });
  }
  [[nodiscard]] std::uint32_t available(std::uint64_t now) const noexcept {
    return visit([&](auto window, auto params) { return window.available(params, now); });
  }
  [[nodiscard]] std::uint64_t full_in(std::uint64_t now) const noexcept {
    return visit([&](auto window, auto params) { return window.full_in(params, now); });
  }
  void reset() noexcept {
    visit([](auto window, auto /*params*/) { window.reset(); });
  }

  /// Calls show(key, time, count) for everything that counts. The same admissions have the same `key` in every call;
  /// `time` is the latest at which they can have come.
  template <class Show>
  void for_each_count(std::uint64_t now, Show&& show) const {
    visit([&](auto window, auto params) { window.for_each_count(params, now, show); });
  }

  /// Adds to the count of a fixed window, beyond the limit too. Returns the count and when the next window begins.
  fixed_window::Count add(std::uint64_t now, std::uint32_t n) noexcept {
    return fixed().add(fixed_params(), now, n);
  }

  [[nodiscard]] bool is_fixed() const noexcept { return kind_ == WindowKind::fixed; }
  [[nodiscard]] std::uint32_t limit() const noexcept { return params_.limit; }

  friend bool operator==(const BasicSharedWindow& a, const BasicSharedWindow& b) noexcept {
    return a.record_ == b.record_ && a.cells_.data() == b.cells_.data() &&
           a.cells_.size() == b.cells_.size() && a.kind_ == b.kind_ && a.params_ == b.params_ &&
           a.created_wall_ns_ == b.created_wall_ns_;
  }

  /// A time (ticks) at which a fixed window of this length begins. Such windows begin at multiples of their length
  /// in UTC, as the wall clock told it when the segment was created; later steps of that clock do not move them.
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
  /// Calls `call` with the window as an object of its kind, and with the params of that kind.
  template <class Call>
  auto visit(Call&& call) const {
    switch (kind_) {
      case WindowKind::log:
        return call(BasicWindowLog<Cell>(cells_.subspan(1), cells_.front()), params_);
      case WindowKind::ring:
        return call(BasicWindowRing<Cell>(cells_), params_);
      default:
        return call(fixed(), fixed_params());
    }
  }

  [[nodiscard]] BasicFixedWindow<Cell> fixed() const noexcept {
    return BasicFixedWindow<Cell>(record_->state);
  }
  [[nodiscard]] FixedWindowParams fixed_params() const noexcept {
    const std::uint64_t length_ms = params_.length / kTicksPerMs;
    return {params_.length, fixed_origin(length_ms, created_wall_ns_), params_.limit};
  }

  Record* record_ = nullptr;
  std::span<Cell> cells_;
  WindowKind kind_ = WindowKind::log;
  WindowParams params_;
  std::uint64_t created_wall_ns_ = 0;
};
using SharedWindow = BasicSharedWindow<Word>;
using SharedWindowView = BasicSharedWindow<const Word>;

}  // namespace weir::detail
