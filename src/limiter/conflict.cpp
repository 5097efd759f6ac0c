#include "limiter/conflict.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "weir/config.hpp"

namespace weir::detail {
namespace {

std::string text_of(const Limits& limits) {
  std::vector<std::string> rates;
  std::transform(limits.rates.begin(), limits.rates.end(), std::back_inserter(rates), format_rate);
  return rates.empty() ? "unlimited" : fmt::format("\"{}\"", fmt::join(rates, "\", \""));
}

std::string concurrent_of(const Limits& limits) {
  return limits.concurrent == 0 ? "unlimited" : std::to_string(limits.concurrent);
}

std::optional<std::string> difference(const std::string& owner, const Limits& segment, const Limits& config) {
  if (segment.rates != config.rates) {
    return fmt::format("{}.rate: segment {}, configuration {}", owner, text_of(segment), text_of(config));
  }
  if (segment.concurrent != config.concurrent) {
    return fmt::format("{}.concurrent: segment {}, configuration {}", owner, concurrent_of(segment),
                       concurrent_of(config));
  }
  return std::nullopt;
}

std::optional<std::string> difference(const std::string& owner, const OperationPolicy& segment,
                                      const OperationPolicy& config) {
  if (auto shared = difference(owner, segment.shared, config.shared)) return shared;
  return difference(owner + ".user", segment.user, config.user);
}

std::optional<std::string> difference(const SegmentPolicy& segment, const SegmentPolicy& config) {
  if (segment.users != config.users) {
    return fmt::format("segment.users: segment {}, configuration {}", segment.users, config.users);
  }
  if (segment.workers != config.workers) {
    return fmt::format("segment.workers: segment {}, configuration {}", segment.workers, config.workers);
  }
  if (segment.when_full != config.when_full) return "segment.when_full";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> first_difference(const Config& segment, const Config& config) {
  if (auto settings = difference(segment.segment, config.segment)) return settings;
  if (auto global = difference("global", segment.global, config.global)) return global;
  for (const auto& [name, operation] : config.operations) {
    const auto found = segment.operations.find(name);
    if (found == segment.operations.end())
      return fmt::format("operations.{}: only in the configuration", name);
    if (auto differs = difference("operations." + name, found->second, operation)) return differs;
  }
  for (const auto& [name, operation] : segment.operations) {
    if (!config.operations.contains(name)) return fmt::format("operations.{}: only in the segment", name);
  }
  return std::nullopt;
}

}  // namespace weir::detail
