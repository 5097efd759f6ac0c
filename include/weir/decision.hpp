// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "weir/export.hpp"

namespace weir {

/// The answer to one request. The values are part of the ABI and never reused.
enum class Verdict : std::uint8_t {
  admitted = 0,   ///< the request may proceed; every limit has been charged
  throttled = 1,  ///< it exceeds a rate or a window, and passes after `retry_after`
  never = 2,      ///< it costs more than a limit ever admits, so no wait helps
  invalid = 3,    ///< it cannot be judged: the operation is unknown, or its cost or weight is 0
  shed = 4,       ///< no permit is free; it passes when another request finishes
  blocked = 5,    ///< a cooldown after refusals is on; it passes after `retry_after`
  circuit_open =
      6,  ///< the breaker is open and lets the next probe through after `retry_after`, which is zero
          ///< if the breaker is forced open
};

/// The name of a verdict as it is written in logs and JSON: `throttled`.
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Verdict verdict) noexcept;

/// How admitted work ended, for the breaker.
enum class Outcome : std::uint8_t { success = 0, failure = 1, ignored = 2 };

/// Names one limit of a limiter; `Limiter::limit_name` turns it into its key in the configuration.
enum class LimitId : std::uint16_t { none = 0 };

/// Why a request was shed.
enum class ShedCause : std::uint16_t {
  none = 0,        ///< it was not shed
  no_permit = 1,   ///< no permit is free, or requests that wait for one go first; it did not ask to wait
  queue_full = 2,  ///< it asked to wait, and the queue is full or the operation has none
  timed_out = 3,   ///< it waited for as long as it asked for, or as the operation allows
  pushed_out = 4,  ///< a more urgent request took its seat in the queue
  cancelled = 5,   ///< its stop token asked it to stop waiting
};

/// The name of a cause as it is written in logs and JSON: `queue_full`; empty for ShedCause::none.
[[nodiscard]] WEIR_EXPORT std::string_view to_string(ShedCause cause) noexcept;

/// A verdict, the limit that gave it, and how long to wait.
struct Decision {
  Verdict verdict = Verdict::admitted;
  LimitId limit = LimitId::none;  ///< the limit that refused; of several, the one with the longest wait
  /// The shortest wait after which the same request can pass; zero if it was admitted or no wait helps. For
  /// rates, windows, cooldowns and breakers it is exact to the nanosecond: the request then passes, unless
  /// another one spends the tokens first. For permits it is zero, since a holder may finish at any moment. A
  /// refusal that begins a cooldown tells when the cooldown ends.
  std::chrono::nanoseconds retry_after{0};
  /// How long the request has waited in the queue.
  std::chrono::duration<std::uint32_t, std::micro> waited{0};
  ShedCause cause = ShedCause::none;  ///< of Verdict::shed
  bool probe = false;  ///< admitted by a half-open breaker; its outcome decides whether that closes

  [[nodiscard]] explicit operator bool() const noexcept { return verdict == Verdict::admitted; }
};

/// What a fixed window has counted.
struct WindowCount {
  LimitId limit = LimitId::none;
  std::uint32_t count = 0;                        ///< of this window; goes on above the limit
  std::uint32_t of = 0;                           ///< the limit
  std::chrono::system_clock::time_point expires;  ///< when the next window begins
};

/// What is left of one rate or window for one request.
struct Quota {
  LimitId limit = LimitId::none;
  std::string name;  ///< "operations.caption_generation.rate[0]"
  bool per_user = false;
  std::uint32_t quota = 0;             ///< a full bucket, or the limit of a window
  std::uint32_t remaining = 0;         ///< the cost that would pass now
  std::chrono::nanoseconds reset{0};   ///< until all of it is available again
  std::chrono::nanoseconds window{0};  ///< the time from empty to full, or the length of the window
  /// The time until a cost of `remaining` + 1 would pass; zero if all of it is available.
  std::chrono::nanoseconds more_in{0};
};

}  // namespace weir
