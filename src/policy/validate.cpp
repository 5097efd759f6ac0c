#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <string>

#include "weir/policy.hpp"

#include "base/result.hpp"
#include "base/text.hpp"
#include "policy/breakers.hpp"
#include "policy/params.hpp"
#include "primitives/breaker_phase.hpp"
#include "primitives/permits.hpp"
#include "primitives/user_window.hpp"
#include "primitives/window_ring.hpp"
#include "segment/mapping.hpp"

namespace weir {
namespace {

using detail::fail;

constexpr std::uint32_t kMaxKeyNames = 16'777'216;
constexpr std::uint64_t kMaxUsers = 1'000'000'000;
constexpr std::uint32_t kMaxLimitsPerUser = 255;
constexpr auto kMaxDepth = std::chrono::nanoseconds(detail::kMaxDepthTicks >> detail::kTickShift);
constexpr std::uint64_t kMaxPerSecond = 10'000'000;
constexpr auto kMinRing = std::chrono::milliseconds(3);
static_assert(3 * detail::kTicksPerMs >= detail::ring_cell::kMinWidth);
constexpr auto kMaxLength = std::chrono::milliseconds(detail::kMaxWindowMs);

auto bad(const std::string& key, std::string_view fact, std::string hint) {
  return fail(Errc::config, fmt::format("{}: {}", key, fact), std::move(hint));
}

Result<void> check_rate(const Rate& rate, const std::string& key) {
  if (rate.count == 0 || rate.period.count() <= 0)
    return bad(key, "the rate is not positive", "for example: 30/min burst 10");
  if (rate.burst == 0) return bad(key, "a burst of 0 would refuse everything", "use a burst of at least 1");
  const auto seconds = static_cast<double>(rate.period.count()) / 1e9;
  if (static_cast<double>(rate.count) / seconds > static_cast<double>(kMaxPerSecond)) {
    return bad(key, "faster than 10 million a second", "leave the limit out");
  }
  const std::uint64_t interval = detail::emission_interval(rate);
  if (interval > detail::kMaxDepthTicks / rate.burst) {
    return bad(
        key,
        fmt::format("an empty bucket would take more than {} days to fill", kMaxDepth / std::chrono::days(1)),
        "use a smaller burst or a faster rate");
  }
  // Rounded down, a request of the whole burst would never pass.
  const auto [below, above] = detail::packed::nearest_bursts(rate.burst);
  if (below != rate.burst) {
    return bad(key, fmt::format("a burst of {} cannot be kept exactly", rate.burst),
               above > std::numeric_limits<std::uint32_t>::max()
                   ? fmt::format("use a burst of {}", below)
                   : fmt::format("use a burst of {} or {}", below, above));
  }
  return {};
}

Result<void> check_length(std::chrono::nanoseconds length, const std::string& key) {
  if (length.count() == 0) return bad(key, "the length is missing", "write it as in \"30s\"");
  if (length >= std::chrono::milliseconds(1) && length <= kMaxLength &&
      length % std::chrono::milliseconds(1) == std::chrono::nanoseconds(0))
    return {};
  return bad(key, "the length is out of range", "use whole milliseconds, from 1 ms to 366 days");
}

Result<void> check_window(const Window& window, bool user, const std::string& key) {
  if (auto length = check_length(window.length, key); !length) return length;
  if (window.kind > WindowKind::weighted) return bad(key, "unknown kind", "use log, ring, fixed or weighted");
  if (user && (window.kind == WindowKind::log || window.kind == WindowKind::ring)) {
    return bad(key, "a window of each user is weighted or fixed", "leave its kind out");
  }
  if (!user && window.kind == WindowKind::weighted) {
    return bad(key, "only windows of users are weighted", "use log, ring or fixed");
  }
  // A cell is at least 2.1 ms: in a shorter window an admission would count for more than a cell longer.
  if (window.kind == WindowKind::ring && window.length < kMinRing) {
    return bad(key, "too short for a ring", "use a log (up to 65535), a rate, or at least 3 ms");
  }
  const std::uint64_t length = detail::ticks_from_ns(static_cast<std::uint64_t>(window.length.count()));
  const std::uint32_t most = window.kind == WindowKind::log ? detail::kMaxPermits
                             : user && window.kind != WindowKind::fixed
                                 ? detail::user_window::max_limit(length)
                                 : detail::kMaxWindowLimit;
  if (window.limit >= 1 && window.limit <= most) return {};
  return bad(key, fmt::format("{} is out of range", window.limit),
             fmt::format("use 1 to {} within this length", most));
}

Result<void> check_concurrent(const Concurrency& concurrent, bool user, const std::string& owner) {
  const std::uint32_t most = user ? detail::kMaxUserPermits : detail::kMaxPermits;
  for (const std::uint32_t limit : {concurrent.limit, concurrent.candidate}) {
    if (limit > most) {
      return bad(owner + ".concurrent", fmt::format("{} is out of range", limit),
                 fmt::format("use 1 to {}", most));
    }
  }
  return {};
}

Result<void> check_cooldown(const Cooldown& cooldown, const std::string& owner) {
  if (cooldown.length.count() == 0) return {};
  if (auto length = check_length(cooldown.length, owner + ".cooldown"); !length) return length;
  if (cooldown.refusals >= 1 && cooldown.refusals <= 255) return {};
  return bad(owner + ".cooldown.refusals", fmt::format("{} is out of range", cooldown.refusals),
             "use 1 to 255");
}

// A list with one element is shown without its index.
std::string listed(const std::string& owner, std::string_view key, std::size_t size, std::size_t i) {
  return size == 1 ? fmt::format("{}.{}", owner, key) : fmt::format("{}.{}[{}]", owner, key, i);
}

// A candidate is a second value of the limit before it.
template <class List>
Result<void> check_candidates(const List& list, const std::string& key) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].mode != Mode::candidate) continue;
    if (i == 0 || list[i - 1].mode == Mode::candidate) {
      return bad(key, "a candidate without a limit of its own",
                 "put it after the limit that it is to be compared with");
    }
  }
  return {};
}

Result<void> check_limits(const Limits& limits, bool user, const std::string& owner) {
  if (auto sound = check_candidates(limits.rates, owner + ".rate"); !sound) return sound;
  if (auto sound = check_candidates(limits.windows, owner + ".window"); !sound) return sound;
  if (limits.rates.size() > kMaxRates) {
    return bad(owner + ".rate", fmt::format("{} rates", limits.rates.size()),
               fmt::format("use at most {}, candidates included", kMaxRates));
  }
  if (limits.windows.size() > kMaxWindows) {
    return bad(owner + ".window", fmt::format("{} windows", limits.windows.size()),
               fmt::format("use at most {}, candidates included", kMaxWindows));
  }
  for (std::size_t i = 0; i < limits.rates.size(); ++i) {
    if (auto rate = check_rate(limits.rates[i], listed(owner, "rate", limits.rates.size(), i)); !rate)
      return rate;
  }
  for (std::size_t i = 0; i < limits.windows.size(); ++i) {
    const std::string key = listed(owner, "window", limits.windows.size(), i);
    if (auto window = check_window(limits.windows[i], user, key); !window) return window;
  }
  if (auto permits = check_concurrent(limits.concurrent, user, owner); !permits) return permits;
  if (limits.cooldown.length.count() != 0 && limits.rates.empty() && limits.windows.empty()) {
    return bad(owner + ".cooldown",
               "nothing can begin it: only refusals by a rate or a window of the same scope do",
               fmt::format("add {}.rate or {}.window, or leave the cooldown out", owner, owner));
  }
  return check_cooldown(limits.cooldown, owner);
}

Result<void> check_share(double share, const std::string& key) {
  if (share >= 0 && share <= 1) return {};
  return bad(key, "out of range", "use a share from 0 to 1");
}

/// What is kept in parts, `of` of them: more than `none`, and rounded to it, it would say nothing.
Result<void> check_parts(double value, double none, std::uint32_t of, const std::string& key) {
  const double least = none + 1.0 / of;
  if (value == none || detail::in_parts(value, of) != detail::in_parts(none, of)) return {};
  return bad(key, "too small to be kept", fmt::format("leave it out, or use at least {}", least));
}

/// Whether a breaker's rates can be reached at all.
Result<void> check_rates(const Breaker& breaker, const std::string& key) {
  for (const auto& [rate, name] :
       {std::pair{breaker.failure_rate, ".failure_rate"}, {breaker.slow_rate, ".slow_rate"}}) {
    if (auto kept = check_parts(rate, 0, detail::kShareParts, key + name); !kept) return kept;
  }
  if ((breaker.failure_rate > 0 || breaker.slow_rate > 0) && breaker.window_calls != 0 &&
      breaker.minimum_calls > breaker.window_calls) {
    return bad(key + ".minimum_calls",
               fmt::format("{} calls are never in a window of {}, so a rate would never count",
                           breaker.minimum_calls, breaker.window_calls),
               fmt::format("leave it out, or use at most {}", breaker.window_calls));
  }
  return {};
}

Result<void> check_breaker(const Breaker& breaker, const std::string& owner) {
  const std::string key = owner + ".breaker";
  if (breaker.failures == 0 && breaker.failure_rate == 0 && breaker.slow_rate == 0) {
    return bad(key, "it would never trip", "set failures, failure_rate or slow_rate");
  }
  if (breaker.failures > 65'535) return bad(key + ".failures", "out of range", "use 1 to 65535");
  for (const auto& [share, name] : {std::pair{breaker.failure_rate, ".failure_rate"},
                                    {breaker.slow_rate, ".slow_rate"},
                                    {breaker.jitter, ".jitter"}}) {
    if (auto sound = check_share(share, key + name); !sound) return sound;
  }
  const bool rates = breaker.failure_rate > 0 || breaker.slow_rate > 0;
  if (rates && (breaker.window.count() == 0) == (breaker.window_calls == 0)) {
    return bad(key, "a rate needs a window", "set either window or window_calls");
  }
  if (breaker.slow_rate > 0 && breaker.slow_call.count() <= 0) {
    return bad(key + ".slow_call", "slow_rate needs to know what is slow", "for example: slow_call = \"2s\"");
  }
  if (breaker.slow_call > kMaxLength) return bad(key + ".slow_call", "too long", "use at most 366 days");
  if (auto reachable = check_rates(breaker, key); !reachable) return reachable;
  if (breaker.window.count() != 0) {
    if (auto length = check_length(breaker.window, key + ".window"); !length) return length;
  }
  if (breaker.window_calls > 65'535) return bad(key + ".window_calls", "out of range", "use 1 to 65535");
  if (breaker.minimum_calls > 65'535) return bad(key + ".minimum_calls", "out of range", "use 1 to 65535");
  if (breaker.recovery.count() == 0)
    return bad(key + ".recovery", "missing: how long it stays open", "for example: recovery = \"30s\"");
  if (auto length = check_length(breaker.recovery, key + ".recovery"); !length) return length;
  constexpr auto kMaxBreaker = std::chrono::nanoseconds(detail::kMaxBreakerTicks >> detail::kTickShift);
  for (const auto& [length, name] : {std::pair{breaker.recovery, ".recovery"},
                                     {breaker.max_recovery, ".max_recovery"},
                                     {breaker.probe_timeout, ".probe_timeout"}}) {
    if (length > kMaxBreaker) return bad(key + name, "too long", "use at most 13 days");
  }
  if (breaker.max_recovery.count() != 0 && breaker.max_recovery < breaker.recovery)
    return bad(key + ".max_recovery", "shorter than the recovery", "leave it out, or make it longer");
  if (!(breaker.recovery_factor >= 1 && breaker.recovery_factor <= 100))
    return bad(key + ".recovery_factor", "out of range", "use 1 to 100");
  if (auto kept = check_parts(breaker.recovery_factor, 1, detail::kFactorParts, key + ".recovery_factor");
      !kept)
    return kept;
  if (auto kept = check_parts(breaker.jitter, 0, detail::kShareParts, key + ".jitter"); !kept) return kept;
  if (breaker.probes < 1 || breaker.probes > 16) return bad(key + ".probes", "out of range", "use 1 to 16");
  if (breaker.successes < 1 || breaker.successes > 255)
    return bad(key + ".successes", "out of range", "use 1 to 255");
  if (breaker.probe_timeout.count() != 0) {
    if (auto length = check_length(breaker.probe_timeout, key + ".probe_timeout"); !length) return length;
  }
  return {};
}

Result<void> check_operation(const OperationPolicy& operation, const std::string& owner) {
  if (auto shared = check_limits(operation.shared, false, owner); !shared) return shared;
  if (auto user = check_limits(operation.user, true, owner + ".user"); !user) return user;
  return operation.breaker ? check_breaker(*operation.breaker, owner) : Result<void>();
}

Result<void> check_segment(const SegmentPolicy& segment) {
  if (!detail::valid_segment_name(segment.name)) {
    return bad("segment.name", "not a usable name", "use 1 to 64 letters, digits, '.', '_' or '-'");
  }
  if (segment.users == 0 || segment.users > kMaxUsers) {
    return bad("segment.users", fmt::format("{} is out of range", segment.users),
               fmt::format("use 1 to {}", kMaxUsers));
  }
  if (segment.limits_per_user > kMaxLimitsPerUser) {
    return bad("segment.limits_per_user", fmt::format("{} is out of range", segment.limits_per_user),
               fmt::format("use 0 to {}", kMaxLimitsPerUser));
  }
  if (segment.workers == 0 || segment.workers > detail::kMaxWorkers) {
    return bad("segment.workers", fmt::format("{} is out of range", segment.workers),
               fmt::format("use 1 to {}", detail::kMaxWorkers));
  }
  if ((segment.mode & ~0770U) != 0 || (segment.mode & 0600U) != 0600U) {
    return bad("segment.mode", fmt::format("{:04o} is not allowed", segment.mode), "use 0600, 0640 or 0660");
  }
  if (segment.key_names > kMaxKeyNames) {
    return bad("segment.key_names", fmt::format("{} is out of range", segment.key_names),
               fmt::format("use 0 to {}", kMaxKeyNames));
  }
  if (segment.local_workers == 0) return bad("segment.local_workers", "0 workers", "use at least 1");
  if (segment.group.size() >= 64)
    return bad("segment.group", "the name is too long", "use the name of a group of this host");
  return {};
}

bool valid_operation_name(std::string_view name) {
  return detail::valid_segment_name(name) && name.size() <= kMaxNameLength;
}

// Whether a key can be written into a file and read back.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

Result<void> check_override(const UserOverride& user, const std::string& name) {
  const std::string key = fmt::format("overrides.users.{}", detail::quoted(name));
  if (name.empty() || name.size() > kMaxNameLength || name.find('\0') != name.npos || !is_utf8(name)) {
    return bad(key, "not a usable key",
               fmt::format("use 1 to {} bytes of UTF-8 without a zero", kMaxNameLength));
  }
  if (user.exempt && user.limits != Limits{})
    return bad(key, "exempt, and has limits", "leave out one of the two");
  return check_limits(user.limits, true, key);
}

Result<void> check(const Config& config) {
  if (auto segment = check_segment(config.segment); !segment) return segment;
  if (auto global = check_operation(config.global, "global"); !global) return global;
  if (config.operations.size() > kMaxOperations) {
    return bad("operations", fmt::format("{} of them", config.operations.size()),
               fmt::format("use at most {}", kMaxOperations));
  }
  if (config.global.breaker) {
    return bad("global.breaker", "breakers belong to operations",
               "put it under [defaults] or [operations.X]");
  }
  for (const auto& [name, operation] : config.operations) {
    if (!valid_operation_name(name)) {
      return bad("operations", "an operation's name is not usable",
                 "use 1 to 64 letters, digits, '.', '_' or '-'");
    }
    if (auto sound = check_operation(operation, "operations." + name); !sound) return sound;
  }
  if (config.users.size() > kMaxOverrides) {
    return bad("overrides.users", fmt::format("{} of them", config.users.size()),
               fmt::format("use at most {}", kMaxOverrides));
  }
  for (const auto& [name, user] : config.users) {
    if (auto sound = check_override(user, name); !sound) return sound;
  }
  return {};
}

}  // namespace

Result<void> validate(const Config& config) noexcept {
  return detail::guarded([&] { return check(config); });
}

}  // namespace weir
