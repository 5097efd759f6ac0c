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

/// What an admitted call is to its breaker.
enum class HeldCall : std::uint8_t {
  none,        ///< nothing: there is no breaker, or it was told
  of_failure,  ///< its outcome counts if it fails, or if a call failed before it
  of_outcome,  ///< its outcome counts
};

/// What an admission has to give back; the limiter's business. Most of it is filled in only if there is
/// something: an admission without permits costs no more than its decision.
struct Holding {
  /// Permits over all callers, and as many of the user: of the global limits and of those of the operation, and
  /// of a limit of each that only counts.
  static constexpr std::size_t kMostPermits = 4;

  LimiterImpl* limiter = nullptr;  ///< nullptr: nothing
  std::uint64_t admitted_at;       ///< ticks
  /// The worker that took it, and the deadline of its probe, as they lie in the probe's cell: {owner 20 | deadline
  /// 44}. Without a probe the deadline is 0.
  std::uint64_t owner;
  std::array<std::uint64_t, 2> user;                 ///< the hash of the user
  std::array<std::uint32_t, kMostPermits> cells;     ///< of the permits, in the segment's section of them
  std::array<std::uint32_t, kMostPermits> entries;   ///< where those of the user were seen last; a hint
  std::array<LimitId, kMostPermits> limits;          ///< of the permits
  std::array<LimitId, kMostPermits> limits_of_user;  ///< of those of the user
  std::uint32_t segment;      ///< in which it was charged: a part of when that was made
  std::uint16_t breaker;      ///< of the operation: its index in the segment's section of breakers
  std::uint16_t generation;   ///< of the breaker; outcomes of an earlier one do not count
  std::uint16_t weight;       ///< cells of each permit; at most that many permits there are
  std::uint8_t permits;       ///< how many of `cells` are filled
  std::uint8_t user_permits;  ///< how many of `entries` are filled
  HeldCall call;
  std::uint8_t probe_cell;
};

}  // namespace detail

/// What a caller holds after `admit`: true if the request may proceed. Moved, never copied.
///
/// Gives its permits back when it goes, on whatever thread; must not outlive its Limiter. A copy that a fork
/// made in a child holds nothing. Killed while holding: the permits come back by the next sweep.
///
/// Where the operation has a breaker, say what came of the work: succeed() or fail(). One that goes without
/// saying counts as ignored.
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

  /// The work went well. Then release().
  void succeed() noexcept { report(Outcome::success); }
  /// It failed, for a reason that says something of the operation. Then release().
  void fail() noexcept { report(Outcome::failure); }
  /// What came of the work, once; a second report is ignored. Then release().
  void report(Outcome outcome) noexcept {
    if (holding_.limiter != nullptr) give_back(outcome);
    holding_.limiter = nullptr;
  }

  /// Gives the permits back before the end of the scope. The decision stays.
  void release() noexcept { report(Outcome::ignored); }

 private:
  friend class detail::LimiterImpl;  // fills it in where it is returned
  void give_back(Outcome outcome) noexcept;

  Decision decision_;
  detail::Holding holding_;
};
static_assert(sizeof(Admission) <= 128, "callers keep one for each request that they work on");

}  // namespace weir
