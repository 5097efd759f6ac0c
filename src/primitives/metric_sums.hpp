// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all lanes together have counted of one operation: the reader of metric_cell.hpp. It only loads.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/word.hpp"
#include "primitives/metric_cell.hpp"
#include "primitives/response_times.hpp"

namespace weir::detail {

/// How a request came, and how it went on: what marks are copies of.
struct MetricFlow {
  std::uint64_t admitted = 0;
  std::uint64_t refused = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t ignored = 0;
  std::uint64_t time = 0;  ///< ticks

  friend bool operator==(const MetricFlow&, const MetricFlow&) = default;
};

/// Admissions that have not ended, of one cell or of many. Modulo 2^64: an admission may end on another thread than it
/// began on, so only a sum over the lanes of a process is a number of calls.
struct CallsLeft {
  std::uint64_t in_flight = 0;  ///< of processes that go on
  std::uint64_t lost = 0;       ///< of processes that are over
};

/// @param is_over  is_over(tenant): whether the process of that identity is gone.
template <class IsOver>
[[nodiscard]] CallsLeft calls_left(const MetricCell& cell, IsOver&& is_over) noexcept {
  // The tenant is read first: a reader that sees it also sees what its predecessors lost.
  const std::uint64_t tenant = cell.tenant.load(std::memory_order_acquire);  // sync(tenant)
  const std::uint64_t lost = cell.lost.load(std::memory_order_relaxed);
  const std::uint64_t since = unfinished(cell) - lost;
  return tenant != 0 && is_over(tenant) ? CallsLeft{0, lost + since} : CallsLeft{since, lost};
}

/// What a cell counted in the last 60 to 69 s before a moment.
[[nodiscard]] inline MetricFlow minute_of(const MetricCell& cell, std::uint64_t now) noexcept {
  const auto of = [](const Word& word) { return word.load(std::memory_order_relaxed); };
  const std::uint64_t step = MetricCell::step_at(now);
  std::uint64_t oldest = 0;
  MetricFlow then;
  for (const MetricCell::Mark& mark : cell.marks) {
    const std::uint64_t seen = mark.step.load(std::memory_order_acquire);  // sync(mark)
    // A mark of a later step than `now` was written after the clock was read.
    if (seen == 0 || seen + MetricCell::kMarks <= step || (oldest != 0 && seen >= oldest)) continue;
    const MetricFlow copy{of(mark.admitted), of(mark.refused), of(mark.succeeded),
                          of(mark.failed),   of(mark.ignored), of(mark.time)};
    std::atomic_thread_fence(std::memory_order_acquire);  // sync(mark)
    if (of(mark.step) != seen) continue;
    oldest = seen;
    then = copy;
  }
  if (oldest == 0) return {};
  // Counters of other lanes, or a damaged mark, may be ahead.
  const auto since = [&](std::uint64_t now_counted, std::uint64_t before) {
    return now_counted - std::min(now_counted, before);
  };
  std::uint64_t refused = 0;
  for (const Word& word : cell.refused) refused += of(word);
  return {since(of(cell.admitted), then.admitted),   since(refused, then.refused),
          since(of(cell.succeeded), then.succeeded), since(of(cell.failed), then.failed),
          since(of(cell.ignored), then.ignored),     since(of(cell.time), then.time)};
}

struct MetricSums {
  std::uint64_t admitted = 0;
  std::array<std::uint64_t, MetricCell::kVerdicts> refused{};  ///< by Verdict
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t ignored = 0;
  std::uint64_t time = 0;   ///< ticks
  std::uint64_t timed = 0;  ///< calls
  std::uint64_t cpu = 0;    ///< ns
  std::uint64_t memory = 0;
  std::uint64_t waited = 0;
  std::uint64_t gave_up = 0;
  std::uint64_t wait_time = 0;  ///< ticks
  std::array<std::uint64_t, MetricCell::kLines> refused_by{};
  std::array<std::uint64_t, response_times::kCounters> times{};
  // These are no sums of what was counted since the beginning.
  std::uint64_t last = 0;  ///< ticks; 0: never
  std::uint64_t peak = 0;  ///< ticks
  CallsLeft left;
  MetricFlow minute;  ///< of the last 60 to 69 s

  /// Adds what a cell holds at a moment, unless it is of another operation.
  /// @param of       as MetricCell::of.
  /// @param is_over  is_over(tenant): whether the process of that identity is gone.
  template <class IsOver>
  void add(const MetricCell& cell, std::uint64_t of, std::uint64_t now, IsOver&& is_over) noexcept {
    if (cell.of.load(std::memory_order_acquire) != of) return;  // sync(of)
    MetricSums before = *this;
    add_counters(cell);
    const CallsLeft calls = calls_left(cell, is_over);
    left.in_flight += calls.in_flight;
    left.lost += calls.lost;
    const MetricFlow flow = minute_of(cell, now);
    minute.admitted += flow.admitted;
    minute.refused += flow.refused;
    minute.succeeded += flow.succeeded;
    minute.failed += flow.failed;
    minute.ignored += flow.ignored;
    minute.time += flow.time;
    last = std::max(last, cell.last.load(std::memory_order_relaxed));
    peak = std::max(peak, cell.peak.load(std::memory_order_relaxed));
    std::atomic_thread_fence(std::memory_order_acquire);  // sync(of)
    if (cell.of.load(std::memory_order_relaxed) != of) *this = before;
  }

  /// Calls in flight, once all lanes are added.
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return not_negative(left.in_flight); }
  /// Calls whose process ended before they did.
  [[nodiscard]] std::uint64_t lost_calls() const noexcept { return not_negative(left.lost); }
  [[nodiscard]] std::uint64_t refused_in_all() const noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t count : refused) all += count;
    return all;
  }

 private:
  /// Calls visit(a counter of one, the same of another) for all sums.
  template <class Sums, class Other, class Visit>
  static void each(Sums& sums, Other& other, Visit&& visit) noexcept {
    visit(sums.admitted, other.admitted);
    visit(sums.succeeded, other.succeeded);
    visit(sums.failed, other.failed);
    visit(sums.ignored, other.ignored);
    visit(sums.time, other.time);
    visit(sums.timed, other.timed);
    visit(sums.cpu, other.cpu);
    visit(sums.memory, other.memory);
    visit(sums.waited, other.waited);
    visit(sums.gave_up, other.gave_up);
    visit(sums.wait_time, other.wait_time);
    const auto all = [&](auto& these, auto& those) {
      for (std::size_t i = 0; i < these.size(); ++i) visit(these[i], those[i]);
    };
    all(sums.refused, other.refused);
    all(sums.refused_by, other.refused_by);
    all(sums.times, other.times);
  }

  void add_counters(const MetricCell& cell) noexcept {
    each(*this, cell,
         [](std::uint64_t& sum, const Word& word) { sum += word.load(std::memory_order_relaxed); });
  }

  [[nodiscard]] static std::uint64_t not_negative(std::uint64_t sum) noexcept {
    return sum >> 63 == 0 ? sum : 0;
  }
};

}  // namespace weir::detail
