#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "weir/decision.hpp"
#include "weir/export.hpp"

namespace weir {

namespace detail {

class LimiterImpl;

/// A permit of a limit over all users.
struct HeldPermit {
  std::uint64_t word;  ///< what is in its cell
  void* cell;
  LimitId limit;
};

/// Permits of a limit per user.
struct HeldUserPermits {
  void* entry;  ///< where they were seen last; a hint
  LimitId limit;
  std::uint8_t parts;  ///< entries among which they may lie
};

/// What an admitted call is to its breaker.
struct HeldCall {
  std::uint64_t probe;       ///< the word in its probe cell; 0: no probe
  std::uint16_t generation;  ///< outcomes of an earlier one do not count
  std::uint8_t cell;
};

/// What an admission has to give back; the limiter's business. Most of it is filled in only if there is
/// something: an admission without permits costs no more than its decision.
struct Holding {
  LimiterImpl* limiter = nullptr;  ///< nullptr: nothing
  std::uint8_t permits = 0;        ///< how many of `shared` are filled
  std::uint8_t user_permits = 0;   ///< how many of `of_user` are filled
  bool has_call = false;           ///< `call` waits for an outcome
  std::uint16_t block;             ///< of the operation
  std::uint32_t owner;             ///< the worker that took it
  std::uint32_t weight;
  std::uint32_t segment;      ///< in which it was charged: a part of when that was made
  std::uint64_t admitted_at;  ///< ticks
  HeldCall call;
  std::array<HeldPermit, 4> shared;
  std::array<std::uint64_t, 2> user;  ///< the hash of the user
  std::array<HeldUserPermits, 4> of_user;
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
  ~Admission() {
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

}  // namespace weir
