// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "weir/decision.hpp"
#include "weir/export.hpp"

namespace weir {

namespace detail {

class LimiterImpl;

/// What an admitted call still has to report to its breaker.
enum class HeldCall : std::uint8_t {
  none,        ///< nothing: the operation has no breaker, or the breaker has the outcome already
  of_failure,  ///< its outcome counts if it fails, or if a call failed before it
  of_outcome,  ///< its outcome counts
};

/// What an admission has to give back. Only the limiter uses it, and fills in only what there is, so that an
/// admission without permits costs no more than its decision.
struct Holding {
  /// The most permits over all callers, and also the most permits of the user: the global limit and that of the
  /// operation, and a candidate of each.
  static constexpr std::size_t kMostPermits = 4;

  LimiterImpl* limiter = nullptr;  ///< nullptr: it has ended, and nothing is held
  std::uint64_t admitted_at;       ///< ticks
  /// The worker that was admitted, and the deadline of its probe, as they lie in the probe's cell: {owner 20 |
  /// deadline 44}. Without a probe the deadline is 0.
  std::uint64_t owner;
  std::array<std::uint64_t, 2> user;                ///< the hash of the user
  std::array<std::uint32_t, kMostPermits> cells;    ///< the permits over all callers, in the section of cells
  std::array<std::uint32_t, kMostPermits> entries;  ///< hints where the permits of the user lie
  std::array<LimitId, kMostPermits> limits;         ///< the limits of the permits over all callers
  std::array<LimitId, kMostPermits> limits_of_user;  ///< the limits of the permits of the user
  std::uint32_t segment;                             ///< the mark of the segment in which it was charged
  std::uint16_t
      operation;  ///< {names that its block had before 8 | index of the block among those of operations 8}
  std::uint16_t generation;   ///< the breaker's generation; outcomes of an earlier one do not count
  std::uint16_t weight;       ///< how many cells each permit takes; no limit has more
  std::uint8_t permits;       ///< how many of `cells` are filled
  std::uint8_t user_permits;  ///< how many of `entries` are filled
  HeldCall call;
  std::uint8_t probe_cell;
  bool holds;  ///< whether there is anything to give back, or to report to a breaker
  bool timed;  ///< whether the time that the call takes is counted
};

}  // namespace detail

/// What a caller holds after `admit`. It is true if the request may proceed, and can be moved but not copied.
///
/// It gives its permits back when it is destroyed, on any thread, and must not outlive its Limiter. The copy that a
/// fork makes in a child holds nothing. If the process is killed while it holds permits, the next sweep returns them.
///
/// If the operation has a breaker, report the outcome of the work with succeed() or fail(). An admission that is
/// destroyed without a report counts as ignored.
class [[nodiscard]] WEIR_EXPORT Admission {
 public:
  explicit Admission(Decision decision) noexcept : decision_(decision) {}
  Admission(Admission&& other) noexcept : decision_(other.decision_), holding_(other.holding_) {
    other.holding_.limiter = nullptr;
  }
  Admission& operator=(Admission&& other) noexcept {
    if (this != &other) {
      release();
      decision_ = other.decision_;
      holding_ = other.holding_;
      other.holding_.limiter = nullptr;
    }
    return *this;
  }
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  /// It is inlined, since after a report nothing is left to do.
  [[gnu::always_inline]] ~Admission() {
    if (holding_.limiter != nullptr) give_back(Outcome::ignored);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(decision_); }
  [[nodiscard]] const Decision& decision() const noexcept { return decision_; }
  [[nodiscard]] Verdict verdict() const noexcept { return decision_.verdict; }
  [[nodiscard]] LimitId limit() const noexcept { return decision_.limit; }
  [[nodiscard]] std::chrono::nanoseconds retry_after() const noexcept { return decision_.retry_after; }

  /// Reports that the work went well, and releases the admission.
  void succeed() noexcept { report(Outcome::success); }
  /// Reports that the work failed for a reason that lies in the operation, and releases the admission.
  void fail() noexcept { report(Outcome::failure); }
  /// Reports the outcome of the work, and releases the admission. A second report is ignored.
  void report(Outcome outcome) noexcept {
    if (holding_.limiter != nullptr) give_back(outcome);
    holding_.limiter = nullptr;
  }

  /// Gives the permits back before the end of the scope. The decision stays.
  void release() noexcept { report(Outcome::ignored); }

 private:
  friend class detail::LimiterImpl;  // fills in the admission that it returns
  void give_back(Outcome outcome) noexcept;

  Decision decision_;
  detail::Holding holding_;
};
static_assert(sizeof(Admission) <= 128, "callers keep one for each request that they work on");

}  // namespace weir
