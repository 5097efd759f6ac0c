#pragma once

#include <chrono>
#include <string_view>

#include "weir/decision.hpp"
#include "weir/export.hpp"

namespace weir {

class Limiter;

/// What a caller holds after `admit`: true if the request may proceed. Moved, never copied.
class [[nodiscard]] WEIR_EXPORT Admission {
 public:
  explicit Admission(Decision decision) noexcept : decision_(decision) {}
  Admission(Admission&&) noexcept = default;
  Admission& operator=(Admission&&) noexcept = default;
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  ~Admission() = default;

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(decision_); }
  [[nodiscard]] const Decision& decision() const noexcept { return decision_; }
  [[nodiscard]] Verdict verdict() const noexcept { return decision_.verdict; }
  [[nodiscard]] LimitId limit() const noexcept { return decision_.limit; }
  [[nodiscard]] std::chrono::nanoseconds retry_after() const noexcept { return decision_.retry_after; }

 private:
  Decision decision_;
};

}  // namespace weir
