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
  std::uint32_t cell;
  LimitId limit;
};

/// Permits of a limit per user.
struct HeldUserPermits {
  void* entry;  ///< where they were seen last; a hint
  LimitId limit;
  std::uint8_t parts;  ///< entries among which they may lie
};

/// What an admission has to give back; the limiter's business. Most of it is filled in only if there is
/// something: an admission without permits costs no more than its decision.
struct Holding {
  LimiterImpl* limiter = nullptr;  ///< nullptr: nothing
  std::uint8_t permits = 0;        ///< how many of `shared` are filled
  std::uint8_t user_permits = 0;   ///< how many of `of_user` are filled
  std::uint16_t operation;         ///< index
  std::uint32_t owner;             ///< the worker that took it
  std::uint32_t weight;
  std::array<HeldPermit, 4> shared;
  std::array<std::uint64_t, 2> user;  ///< the hash of the user
  std::array<HeldUserPermits, 4> of_user;
};

}  // namespace detail

/// What a caller holds after `admit`: true if the request may proceed. Moved, never copied.
///
/// Gives its permits back when it goes, on whatever thread; must not outlive its Limiter. A copy that a fork
/// made in a child holds nothing. Killed while holding: the permits come back by the next sweep.
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
    if (holding_.limiter != nullptr) give_back();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(decision_); }
  [[nodiscard]] const Decision& decision() const noexcept { return decision_; }
  [[nodiscard]] Verdict verdict() const noexcept { return decision_.verdict; }
  [[nodiscard]] LimitId limit() const noexcept { return decision_.limit; }
  [[nodiscard]] std::chrono::nanoseconds retry_after() const noexcept { return decision_.retry_after; }

  /// Gives the permits back before the end of the scope. The decision stays.
  void release() noexcept {
    if (holding_.limiter != nullptr) give_back();
    holding_.limiter = nullptr;
  }

 private:
  friend class detail::LimiterImpl;  // fills it in where it is returned
  void give_back() noexcept;

  Decision decision_;
  detail::Holding holding_;
};

}  // namespace weir
