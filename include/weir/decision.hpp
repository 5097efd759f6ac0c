#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// The answer to one request. The values are part of the ABI and never reused.
enum class Verdict : std::uint8_t {
  admitted = 0,      ///< go on; every limit has been charged
  throttled = 1,     ///< over a rate; passes after `retry_after`
  never = 2,         ///< costs more than a burst holds: no wait helps
  invalid = 3,       ///< cannot be judged: an unknown operation, or a cost or weight of 0
  shed = 4,          ///< no permit is free; passes when somebody finishes
  blocked = 5,       ///< in cooldown after refusals; passes after `retry_after`
  circuit_open = 6,  ///< the breaker is open; `retry_after` is when it lets the next probe through, zero if
                     ///< it is forced open
};

/// The name of a verdict as it is written in logs and JSON: `throttled`.
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Verdict verdict) noexcept;

/// What came of admitted work, for the breaker.
enum class Outcome : std::uint8_t { success = 0, failure = 1, ignored = 2 };

/// Names one limit of a limiter; `Limiter::limit_name` turns it into its key in the configuration.
enum class LimitId : std::uint16_t { none = 0 };

/// A verdict, who gave it, and how long to wait.
struct Decision {
  Verdict verdict = Verdict::admitted;
  LimitId limit = LimitId::none;  ///< the limit that refused; of several, the one that takes longest
  /// Least wait before the same request can conform, zero if it was admitted or no wait helps.
  /// Exact for rates, windows, cooldowns and breakers, to the nanosecond: never early, as long as nobody else
  /// spends the tokens first. For permits zero: the next holder may finish at any moment. A refusal that
  /// begins a cooldown says when that ends.
  std::chrono::nanoseconds retry_after{0};
  bool probe = false;  ///< admitted through a half-open breaker: the outcome decides whether it closes

  [[nodiscard]] explicit operator bool() const noexcept { return verdict == Verdict::admitted; }
};

/// What a fixed window has counted.
struct WindowCount {
  LimitId limit = LimitId::none;
  std::uint32_t count = 0;                        ///< in this window; goes on above the limit
  std::uint32_t of = 0;                           ///< the limit
  std::chrono::system_clock::time_point expires;  ///< when counting starts anew
};

/// What is left of one rate or window, for one who asks.
struct Quota {
  LimitId limit = LimitId::none;
  std::string name;  ///< "operations.caption_generation.rate[0]"
  bool per_user = false;
  std::uint32_t quota = 0;             ///< a full bucket, or the limit of a window
  std::uint32_t remaining = 0;         ///< cost that would pass now
  std::chrono::nanoseconds reset{0};   ///< until all of it is there again
  std::chrono::nanoseconds window{0};  ///< from empty to full, or the length of the window
  /// Until a cost of `remaining` + 1 would pass; zero if nothing is missing.
  std::chrono::nanoseconds more_in{0};
};

}  // namespace weir
