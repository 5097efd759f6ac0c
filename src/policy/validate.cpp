// SPDX-License-Identifier: Apache-2.0
#include "policy/validate.hpp"

#include <chrono>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"
#include "policy/breakers.hpp"
#include "policy/params.hpp"
#include "primitives/permits.hpp"
#include "primitives/user_window.hpp"
#include "primitives/window_ring.hpp"

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

constexpr auto kMaxDepth = nanoseconds(kMaxDepthTicks >> kTickShift);
constexpr std::uint64_t kMaxPerSecond = 10'000'000;
constexpr auto kMinRing = std::chrono::milliseconds(3);
static_assert(3 * kTicksPerMs >= ring_cell::kMinWidth);
constexpr std::size_t kLongestGroup = 63;

/// Walks through a configuration along the lists of its keys and keeps the first fault.
class Validator {
 public:
  std::optional<Fault> check(const Config& config) {
    at("segment", [&] { check_segment(config.segment); });
    at("global", [&] {
      check_policy(config.global);
      if (!config.global.breaker) return;
      at("breaker",
         [&] { bad("breakers belong to operations", "put it under [defaults] or [operations.X]"); });
    });
    at("operations", [&] {
      check_count(config.operations.size(), kMaxOperations);
      for (const auto& [name, policy] : config.operations) {
        if (!valid_name(name))
          bad(quoted(name) + ": not a name for an operation", std::string("use ") + kNameForm);
        at(name, [&, &operation = policy] {
          check_policy(operation);
          check_fields(kBreakerField, operation);
        });
      }
    });
    at("overrides", [&] {
      at("users", [&] {
        check_count(config.users.size(), kMaxOverrides);
        for (const auto& [name, user] : config.users) {
          at(name, [&, &user_name = name, &override = user] { check_override(user_name, override); });
        }
      });
    });
    return std::move(fault_);
  }

 private:
  void bad(std::string problem, std::string hint) {
    if (!fault_) fault_ = Fault{path_, std::move(problem), std::move(hint)};
  }

  template <class Check>
  void at(KeyStep step, const Check& check) {
    path_.push_back(std::move(step));
    check();
    path_.pop_back();
  }

  void check_count(std::size_t count, std::size_t most) {
    if (count > most) bad(fmt::format("there are {} of them", count), fmt::format("use at most {}", most));
  }

  // Checks of one key, by the list that describes it.

  template <class T, std::size_t N>
  void check_fields(const std::array<Field<T>, N>& fields, const T& values) {
    for (const Field<T>& field : fields) {
      at(std::string(field.name),
         [&] { std::visit([&](const auto& setting) { check_setting(setting, values); }, field.setting); });
    }
  }

  template <class T, class Value>
  void check_setting(const Plain<T, Value>& setting, const T& values) {
    if constexpr (std::is_enum_v<Value>) {
      const Names names = names_of(Value{});
      if (static_cast<std::size_t>(values.*setting.member) >= names.size())
        bad("not one of the choices", "leave it out");
    }
  }
  template <class T, class Value>
  void check_setting(const Whole<T, Value>& setting, const T& values) {
    const Value value = values.*setting.member;
    if (value == default_of(setting.member) || in_bounds(setting, value)) return;
    bad(fmt::format("{}: out of range", value), "use " + bounds_text(setting));
  }
  /// Refuses a value that would be rounded to the default, since it would have no effect.
  template <class T>
  void check_setting(const Decimal<T>& setting, const T& values) {
    const double value = values.*setting.member;
    const double left_out = default_of(setting.member);
    if (!(value >= setting.least && value <= setting.most)) {
      return bad(fmt::format("{}: out of range", value),
                 fmt::format("use {} to {}", setting.least, setting.most));
    }
    if (value == left_out || in_parts(value, setting.parts) != in_parts(left_out, setting.parts)) return;
    bad(fmt::format("{}: too small to be kept", value),
        fmt::format("leave it out, or use at least {}", left_out + 1.0 / setting.parts));
  }
  template <class T>
  void check_setting(const Length<T>& setting, const T& values) {
    const nanoseconds length = values.*setting.member;
    const bool left_out = length.count() == 0 && default_of(setting.member).count() == 0;
    if (!left_out) check_length(length, setting.most, setting.step);
  }
  template <class T>
  void check_setting(const Shares<T>& setting, const T& values) {
    std::uint32_t sum = 0;
    for (const std::uint8_t share : values.*setting.member) sum += share;
    if (sum <= setting.most) return;
    bad(fmt::format("these are {} turns together", sum),
        fmt::format("use at most {} together", setting.most));
  }
  template <class T, class Value>
  void check_setting(const Part<T, Value>& setting, const T& values) {
    check_part(values.*setting.member, setting.per_user);
  }
  // These have no bounds; check_rate() and check_window() check what a LimitText says.
  template <class T>
  void check_setting(const Octal<T>& /*setting*/, const T& /*values*/) {}
  template <class T>
  void check_setting(const LimitText& /*setting*/, const T& /*values*/) {}
  template <class T>
  void check_setting(const ShadowMode& /*setting*/, const T& /*values*/) {}
  template <class T>
  void check_setting(const CandidateText& /*setting*/, const T& /*values*/) {}

  void check_length(nanoseconds length, nanoseconds most, nanoseconds step) {
    if (length >= step && length <= most && length % step == nanoseconds(0)) return;
    bad("the length is out of range",
        step == nanoseconds(1) ? fmt::format("use at most {}", longest_text(most))
                               : fmt::format("use whole milliseconds, from 1 ms to {}", longest_text(most)));
  }

  // Checks of what the keys of a table say together.

  void check_segment(const SegmentPolicy& segment) {
    at("name", [&] {
      if (!valid_name(segment.name)) bad("not a usable name", std::string("use ") + kNameForm);
    });
    check_fields(kSegmentFields, segment);
    at("mode", [&] {
      if ((segment.mode & ~0770U) == 0 && (segment.mode & 0600U) == 0600U) return;
      bad(fmt::format("{:04o} is not allowed", segment.mode), "use 0600, 0640 or 0660");
    });
    at("group", [&] {
      if (segment.group.size() > kLongestGroup)
        bad("the name is too long", "use the name of a group of this host");
    });
  }

  void check_policy(const OperationPolicy& policy) {
    check_fields(kSharedLimits, policy.shared);
    check_cooldown(policy.shared);
    check_fields(kQueueFields, policy.queue);
    check_fields(kUserField, policy);
  }

  void check_part(const Limits& limits, bool /*per_user*/) {
    check_fields(kUserLimits, limits);
    check_cooldown(limits);
  }

  void check_override(const std::string& name, const UserOverride& user) {
    if (name.empty() || name.size() > kMaxNameLength || name.find('\0') != name.npos || !valid_utf8(name)) {
      bad("not a usable key", fmt::format("use 1 to {} bytes of UTF-8 without a zero", kMaxNameLength));
    }
    if (user.exempt && user.limits != Limits{}) bad("exempt, and has limits", "leave out one of the two");
    check_part(user.limits, true);
  }

  void check_part(const std::vector<Rate>& rates, bool per_user) {
    if (rates.size() > kMaxRates) {
      bad(fmt::format("{} rates", rates.size()),
          fmt::format("use at most {}, candidates included", kMaxRates));
    }
    each_of(rates, [&](const Rate& rate) {
      check_rate(rate);
      if (!fault_ && rate.lease) at("lease", [&] { check_lease(rate, per_user); });
    });
  }
  void check_part(const std::vector<Window>& windows, bool per_user) {
    if (windows.size() > kMaxWindows) {
      bad(fmt::format("{} windows", windows.size()),
          fmt::format("use at most {}, candidates included", kMaxWindows));
    }
    each_of(windows, [&](const Window& window) { check_window(window, per_user); });
  }
  void check_part(const Concurrency& concurrent, bool per_user) {
    check_fields(per_user ? kUserConcurrentFields : kConcurrentFields, concurrent);
  }
  void check_part(const Cooldown& cooldown, bool /*per_user*/) {
    if (cooldown.length.count() != 0) check_fields(kCooldownFields, cooldown);
  }
  void check_part(const std::optional<weir::Breaker>& breaker, bool /*per_user*/) {
    if (breaker) check_breaker(*breaker);
  }

  /// Checks each limit of a list under the key that it has in a file: a candidate is a part of the limit before it,
  /// and the only limit of a list has no index.
  template <class Limit, class Check>
  void each_of(const std::vector<Limit>& limits, const Check& check) {
    std::size_t entries = 0;
    for (const Limit& limit : limits) entries += limit.mode == Mode::candidate ? 0 : 1;
    std::size_t index = 0;
    Mode before = Mode::candidate;
    for (const Limit& limit : limits) {
      const bool candidate = limit.mode == Mode::candidate;
      if (candidate && before == Mode::candidate) {
        bad("a candidate without a limit of its own",
            "put it after the limit that it is to be compared with");
      }
      before = limit.mode;
      if (!candidate) ++index;
      const std::size_t depth = path_.size();
      if (entries > 1 && index > 0) path_.emplace_back(index - 1);
      if (candidate) path_.emplace_back("candidate");
      check(limit);
      path_.resize(depth);
    }
  }

  void check_rate(const Rate& rate) {
    if (rate.count == 0 || rate.period.count() <= 0) {
      return bad("the rate is not positive", "for example: 30/min burst 10");
    }
    if (rate.burst == 0) return bad("a burst of 0 would refuse everything", "use a burst of at least 1");
    const auto seconds = static_cast<double>(rate.period.count()) / 1e9;
    if (static_cast<double>(rate.count) / seconds > static_cast<double>(kMaxPerSecond)) {
      return bad("faster than 10 million a second", "leave the limit out");
    }
    if (emission_interval(rate) > kMaxDepthTicks / rate.burst) {
      return bad(fmt::format("an empty bucket would take more than {} days to fill",
                             kMaxDepth / std::chrono::days(1)),
                 "use a smaller burst or a faster rate");
    }
    // A burst that was rounded down would never admit a request that costs the whole burst.
    const auto [below, above] = packed::nearest_bursts(rate.burst);
    if (below == rate.burst) return;
    bad(fmt::format("a burst of {} cannot be kept exactly", rate.burst),
        above > std::numeric_limits<std::uint32_t>::max()
            ? fmt::format("use a burst of {}", below)
            : fmt::format("use a burst of {} or {}", below, above));
  }

  void check_lease(const Rate& rate, bool per_user) {
    if (per_user) return bad("nothing is taken in advance for one user", "leave it out");
    if (rate.mode != Mode::enforced)
      return bad("nothing is taken in advance of a rate that is only counted", "leave it out");
    const std::uint32_t most = LeaseTerms::most_of(packed::to_token_bucket(packed::rate(rate)));
    if (*rate.lease <= most) return;
    bad(fmt::format("{} is too much for this rate and burst", *rate.lease),
        most == 0 ? "use a larger burst, or leave it out" : fmt::format("use at most {}", most));
  }

  void check_window(const Window& window, bool per_user) {
    if (window.length.count() == 0) return bad("the length is missing", "write it as in \"100 per 30s\"");
    check_length(window.length, kMaxLength, std::chrono::milliseconds(1));
    check_fields(kWindowFields, window);
    if (fault_) return;
    if (per_user && (window.kind == WindowKind::log || window.kind == WindowKind::ring)) {
      return bad("a window of each user is weighted or fixed", "leave its kind out");
    }
    if (!per_user && window.kind == WindowKind::weighted) {
      return bad("only windows of users are weighted", "use log, ring or fixed");
    }
    // A cell is at least 2.1 ms wide, so in a shorter window an admission would count for more than one cell too long.
    if (window.kind == WindowKind::ring && window.length < kMinRing) {
      return bad("too short for a ring", "use a log (up to 65535), a rate, or at least 3 ms");
    }
    const std::uint64_t length = ticks_from_ns(static_cast<std::uint64_t>(window.length.count()));
    const std::uint32_t most = window.kind == WindowKind::log                 ? kMaxPermits
                               : per_user && window.kind != WindowKind::fixed ? user_window::max_limit(length)
                                                                              : kMaxWindowLimit;
    if (window.limit >= 1 && window.limit <= most) return;
    bad(fmt::format("{} is out of range", window.limit), fmt::format("use 1 to {} within this length", most));
  }

  void check_cooldown(const Limits& limits) {
    if (limits.cooldown.length.count() == 0 || !limits.rates.empty() || !limits.windows.empty()) return;
    const std::string owner = path_text(path_);
    at("cooldown", [&] {
      bad("nothing can begin it: only refusals by a rate or a window of the same scope do",
          fmt::format("add {}.rate or {}.window, or leave the cooldown out", owner, owner));
    });
  }

  void check_breaker(const weir::Breaker& breaker) {
    const bool rates = breaker.failure_rate > 0 || breaker.slow_rate > 0;
    if (breaker.failures == 0 && !rates)
      bad("it would never trip", "set failures, failure_rate or slow_rate");
    check_fields(kBreakerFields, breaker);
    if (rates && (breaker.window.count() == 0) == (breaker.window_calls == 0)) {
      bad("a rate needs a window", "set either window or window_calls");
    }
    if (breaker.slow_rate > 0 && breaker.slow_call.count() <= 0) {
      at("slow_call",
         [&] { bad("slow_rate needs to know what is slow", "for example: slow_call = \"2s\""); });
    }
    if (breaker.slow_call.count() > 0 && breaker.slow_rate <= 0) {
      at("slow_call", [&] {
        bad("nothing looks at slow calls without slow_rate",
            "add the share of them that opens the breaker (slow_rate = 1.0: when all are slow), or leave "
            "slow_call out");
      });
    }
    if (rates && breaker.window_calls != 0 && breaker.minimum_calls > breaker.window_calls) {
      at("minimum_calls", [&] {
        bad(fmt::format("{} calls are never in a window of {}, so a rate would never count",
                        breaker.minimum_calls, breaker.window_calls),
            fmt::format("leave it out, or use at most {}", breaker.window_calls));
      });
    }
    if (breaker.recovery.count() == 0) {
      at("recovery", [&] { bad("missing: how long it stays open", "for example: recovery = \"30s\""); });
    }
    if (breaker.max_recovery.count() != 0 && breaker.max_recovery < breaker.recovery) {
      at("max_recovery", [&] { bad("shorter than the recovery", "leave it out, or make it longer"); });
    }
  }

  KeyPath path_;
  std::optional<Fault> fault_;
};

}  // namespace

std::optional<Fault> find_fault(const Config& config) {
  return Validator().check(config);
}

}  // namespace weir::detail

namespace weir {

Result<void> validate(const Config& config) noexcept {
  return detail::guarded([&]() -> Result<void> {
    const auto fault = detail::find_fault(config);
    if (!fault) return {};
    return Error{Errc::config,
                 fmt::format("{}: {}", detail::escaped(detail::path_text(fault->key)), fault->problem),
                 fault->hint};
  });
}

}  // namespace weir
