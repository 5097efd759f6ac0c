// SPDX-License-Identifier: Apache-2.0
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

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/environment.hpp"

namespace weir::detail {
namespace {

using std::chrono::nanoseconds;

/// One variable and its value.
struct Variable {
  std::string_view name;
  const std::string& value;

  Result<void> set(Node& root, const KeyPath& path, std::string_view text) const {
    return edit(root, path, text, position_of_variable(name));
  }
};

Result<std::uint32_t> number(const std::string& text) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec == std::errc() && parsed.ptr == end && value >= 1) return value;
  return Error{Errc::config, quoted(text) + ": not a number of requests", fmt::format("use 1 to {}", kMost)};
}

/// Finds the rate of [defaults] with this period and its index in their list, which is the end if there is none.
std::pair<std::optional<Rate>, std::size_t> rate_of(const Node& root, nanoseconds period) {
  for (std::size_t i = 0;; ++i) {
    const KeyPath path = {"defaults", "rate", i};
    const Found entry = find_node(root, path);
    if (!entry.whole || entry.node->as<bool>() != nullptr) return {std::nullopt, i};
    const Node* text = entry.node->as<Node::Table>() != nullptr ? entry.node->find("limit") : entry.node;
    if (text == nullptr || text->as<std::string>() == nullptr) continue;  // the tree's reader will refuse it
    const Result<Rate> rate = parse_rate(*text->as<std::string>());
    if (rate && rate->period == period) return {*rate, i};
  }
}

Result<void> set_rate(Node& root, std::size_t index, const Rate& rate, const Variable& variable) {
  return variable.set(root, {"defaults", "rate", index, "limit"}, toml_string(format_rate(rate)));
}

/// Sets the count of the rate with this period. Its burst stays as it is if it differed from the count.
Result<void> set_count(Node& root, nanoseconds period, const Variable& variable) {
  WEIR_TRY(const std::uint32_t count, number(variable.value));
  const auto [before, index] = rate_of(root, period);
  const bool own_burst = before && before->burst != before->count;
  return set_rate(root, index, {count, period, own_burst ? before->burst : count}, variable);
}

Result<void> set_burst(Node& root, const Variable& variable) {
  WEIR_TRY(const std::uint32_t burst, number(variable.value));
  auto [rate, index] = rate_of(root, std::chrono::minutes(1));
  if (!rate) {
    return Error{Errc::config, "[defaults] has no rate per minute that could take this burst",
                 "set RATE_LIMIT_REQUESTS_PER_MINUTE too"};
  }
  rate->burst = burst;
  return set_rate(root, index, *rate, variable);
}

/// Sets a part of the breaker of [defaults]. If there is none, it begins as that of the built-in configuration.
Result<void> set_breaker(Node& root, std::string_view part, std::string_view value,
                         const Variable& variable) {
  const KeyPath path = {"defaults", "breaker"};
  const Found breaker = find_node(root, path);
  if (!breaker.whole || breaker.node->as<Node::Table>() == nullptr) {
    WEIR_TRY_VOID(variable.set(root, path, "{ failures = 5, recovery = \"60s\" }"));
  }
  return variable.set(root, {"defaults", "breaker", std::string(part)}, value);
}

using Apply = Result<void> (*)(Node& root, const Variable& variable);

constexpr std::array kPlainNames = std::to_array<std::pair<std::string_view, Apply>>({
    {"RATE_LIMIT_REQUESTS_PER_MINUTE",
     [](Node& root, const Variable& variable) { return set_count(root, std::chrono::minutes(1), variable); }},
    {"RATE_LIMIT_REQUESTS_PER_HOUR",
     [](Node& root, const Variable& variable) { return set_count(root, std::chrono::hours(1), variable); }},
    {"RATE_LIMIT_BURST_LIMIT", set_burst},
    {"MAX_CONCURRENT_REQUESTS",
     [](Node& root, const Variable& variable) {
       return variable.set(root, {"defaults", "concurrent", "limit"}, variable.value);
     }},
    {"MAX_CONCURRENT_PER_USER",
     [](Node& root, const Variable& variable) {
       return variable.set(root, {"defaults", "user", "concurrent", "limit"}, variable.value);
     }},
    {"CONCURRENCY_TIMEOUT",  // ignoring it would promise a limit that is not enforced
     [](Node& /*root*/, const Variable& /*variable*/) -> Result<void> {
       return Error{Errc::config, "waiting for a permit is not supported by this version of weir", "unset it"};
     }},
    {"CIRCUIT_BREAKER_FAILURE_THRESHOLD",
     [](Node& root, const Variable& variable) { return set_breaker(root, "failures", variable.value, variable); }},
    {"CIRCUIT_BREAKER_RECOVERY_TIMEOUT",  // a number of seconds, as services write it elsewhere, or a duration
     [](Node& root, const Variable& variable) {
       const bool seconds = variable.value.find_first_not_of("0123456789") == std::string::npos;
       return set_breaker(root, "recovery", '"' + variable.value + (seconds ? "s\"" : "\""), variable);
     }},
});

}  // namespace

bool is_plain_name(std::string_view name) {
  return std::ranges::find(kPlainNames, name, &std::pair<std::string_view, Apply>::first) !=
         kPlainNames.end();
}

Result<void> apply_plain_names(Node& root, const Environment& environment) {
  for (const auto& [name, apply] : kPlainNames) {
    const auto variable = environment.find(name);
    if (variable == environment.end() || variable->second.empty()) continue;
    const Result<void> done = apply(root, {name, variable->second});
    if (!done) return of_variable(name, done.error());
  }
  return {};
}

}  // namespace weir::detail
