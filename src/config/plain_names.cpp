#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/environment.hpp"

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kPerMinute = "RATE_LIMIT_REQUESTS_PER_MINUTE";
constexpr std::string_view kPerHour = "RATE_LIMIT_REQUESTS_PER_HOUR";
constexpr std::string_view kBurst = "RATE_LIMIT_BURST_LIMIT";
constexpr std::string_view kConcurrent = "MAX_CONCURRENT_REQUESTS";
constexpr std::string_view kConcurrentPerUser = "MAX_CONCURRENT_PER_USER";
constexpr std::string_view kTimeout = "CONCURRENCY_TIMEOUT";
constexpr std::string_view kFailures = "CIRCUIT_BREAKER_FAILURE_THRESHOLD";
constexpr std::string_view kRecovery = "CIRCUIT_BREAKER_RECOVERY_TIMEOUT";
constexpr std::array kPlainNames = {kPerMinute,         kPerHour, kBurst,    kConcurrent,
                                    kConcurrentPerUser, kTimeout, kFailures, kRecovery};

constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();

/// Sets [defaults] by the plain names, one after the other.
class PlainNames {
 public:
  PlainNames(Node& root, const Environment& environment) : root_(root), environment_(environment) {}

  Expected<void> apply() {
    using Apply = Expected<void> (PlainNames::*)(std::string_view, const std::string&);
    constexpr std::pair<std::string_view, Apply> kSteps[] = {
        {kPerMinute, &PlainNames::per_minute},
        {kPerHour, &PlainNames::per_hour},
        {kBurst, &PlainNames::burst},
        {kConcurrent, &PlainNames::concurrent},
        {kConcurrentPerUser, &PlainNames::concurrent_per_user},
        {kTimeout, &PlainNames::timeout},
        {kFailures, &PlainNames::failures},
        {kRecovery, &PlainNames::recovery},
    };
    for (const auto& [name, step] : kSteps) {
      const auto variable = environment_.find(name);
      if (variable == environment_.end() || variable->second.empty()) continue;
      if (const Expected<void> done = (this->*step)(name, variable->second); !done) {
        return tl::make_unexpected(of_variable(name, done.error()));
      }
    }
    return {};
  }

 private:
  Expected<void> per_minute(std::string_view name, const std::string& value) {
    return set_count(name, value, std::chrono::minutes(1));
  }
  Expected<void> per_hour(std::string_view name, const std::string& value) {
    return set_count(name, value, std::chrono::hours(1));
  }

  /// The count of the rate of this period. A burst of its own stays.
  Expected<void> set_count(std::string_view name, const std::string& value, nanoseconds period) {
    const Expected<std::uint32_t> count = number(value);
    if (!count) return tl::make_unexpected(count.error());
    Rate rate{*count, period, *count};
    Node* text = rate_of(period);
    if (text != nullptr) {
      const Rate before = *parse_rate(*text->as<std::string>());
      if (before.burst != before.count) rate.burst = before.burst;
    } else {
      text = &added_rate();
    }
    *text = {format_rate(rate), place_of_variable(name)};
    return {};
  }

  Expected<void> burst(std::string_view name, const std::string& value) {
    const Expected<std::uint32_t> depth = number(value);
    if (!depth) return tl::make_unexpected(depth.error());
    Node* text = rate_of(std::chrono::minutes(1));
    if (text == nullptr) {
      return fail(Errc::config, "[defaults] have no rate per minute whose burst this could be",
                  fmt::format("set {} too", kPerMinute));
    }
    Rate rate = *parse_rate(*text->as<std::string>());
    rate.burst = *depth;
    *text = {format_rate(rate), place_of_variable(name)};
    return {};
  }

  Expected<void> concurrent(std::string_view name, const std::string& value) {
    return set({"defaults", "concurrent", "limit"}, name, value);
  }
  Expected<void> concurrent_per_user(std::string_view name, const std::string& value) {
    return set({"defaults", "user", "concurrent", "limit"}, name, value);
  }

  // A limit that nobody enforces would be promised by ignoring it.
  Expected<void> timeout(std::string_view /*name*/, const std::string& /*value*/) {
    return fail(Errc::config, "waiting for a permit is not supported by this version of weir", "unset it");
  }

  Expected<void> failures(std::string_view name, const std::string& value) {
    if (Expected<void> there = have_breaker(name); !there) return there;
    return set({"defaults", "breaker", "failures"}, name, value);
  }

  /// In seconds, as such variables are elsewhere, or a duration.
  Expected<void> recovery(std::string_view name, const std::string& value) {
    if (Expected<void> there = have_breaker(name); !there) return there;
    const bool seconds = value.find_first_not_of("0123456789") == value.npos;
    return set({"defaults", "breaker", "recovery"}, name, '"' + value + (seconds ? "s\"" : "\""));
  }

  /// What the built-in breaker is, where the file has none.
  Expected<void> have_breaker(std::string_view name) {
    const Node* defaults = root_.find("defaults");
    const Node* breaker = defaults == nullptr ? nullptr : defaults->find("breaker");
    if (breaker != nullptr && breaker->as<Node::Table>() != nullptr) return {};
    return set({"defaults", "breaker"}, name, "{ failures = 5, recovery = \"60s\" }");
  }

  Expected<void> set(const Path& path, std::string_view name, std::string_view value) {
    return edit(root_, path, value, place_of_variable(name));
  }

  static Expected<std::uint32_t> number(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= kMost) {
      return static_cast<std::uint32_t>(value);
    }
    return fail(Errc::config, quoted(text) + ": no number of requests", fmt::format("use 1 to {}", kMost));
  }

  /// The text of the rate in [defaults] of this period, or null.
  Node* rate_of(nanoseconds period) {
    Node* defaults = root_.find("defaults");
    Node* rates = defaults == nullptr ? nullptr : defaults->find("rate");
    if (rates == nullptr) return nullptr;
    auto* list = rates->as<Node::List>();
    if (list == nullptr) return has_period(*rates, period) ? text_of(*rates) : nullptr;
    const auto found = std::ranges::find_if(*list, [&](Node& rate) { return has_period(rate, period); });
    return found == list->end() ? nullptr : text_of(*found);
  }

  static Node* text_of(Node& rate) {
    Node* text = rate.as<Node::Table>() != nullptr ? rate.find("limit") : &rate;
    return text != nullptr && text->as<std::string>() != nullptr ? text : nullptr;
  }

  static bool has_period(Node& rate, nanoseconds period) {
    const Node* text = text_of(rate);
    if (text == nullptr) return false;  // a mistake; the reader says so
    const Result<Rate> parsed = parse_rate(*text->as<std::string>());
    return parsed && parsed->period == period;
  }

  /// Room for one more rate in [defaults].
  Node& added_rate() {
    if (root_.find("defaults") == nullptr) root_.add("defaults", {Node::Table{}, {}});
    Node& defaults = *root_.find("defaults");
    if (defaults.find("rate") == nullptr) defaults.add("rate", {Node::List{}, {}});
    Node& rates = *defaults.find("rate");
    if (rates.as<Node::List>() == nullptr) {
      Node one = rates;
      rates.value = Node::List{std::move(one)};
    }
    return rates.as<Node::List>()->emplace_back();
  }

  Node& root_;
  const Environment& environment_;
};

}  // namespace

bool is_plain_name(std::string_view name) {
  return std::ranges::find(kPlainNames, name) != kPlainNames.end();
}

Expected<void> apply_plain_names(Node& root, const Environment& environment) {
  return PlainNames(root, environment).apply();
}

}  // namespace weir::detail
