#include <algorithm>
#include <fmt/format.h>
#include <string>

#include "weir/policy.hpp"

#include "base/expected.hpp"
#include "policy/records.hpp"
#include "primitives/permits.hpp"

namespace weir {
namespace {

using detail::Expected;
using detail::fail;

constexpr std::uint64_t kMaxUsers = 1'000'000'000;
constexpr auto kMaxDepth = std::chrono::nanoseconds(detail::kMaxDepthTicks >> detail::kTickShift);
constexpr std::uint64_t kMaxPerSecond = 10'000'000;

auto bad(const std::string& key, std::string_view fact, std::string hint) {
  return fail(Errc::config, fmt::format("{}: {}", key, fact), std::move(hint));
}

Expected<void> check_rate(const Rate& rate, const std::string& key) {
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
  return {};
}

Expected<void> check_limits(const Limits& limits, const std::string& owner) {
  for (std::size_t i = 0; i < limits.rates.size(); ++i) {
    const std::string key = limits.rates.size() == 1 ? owner + ".rate" : fmt::format("{}.rate[{}]", owner, i);
    if (auto rate = check_rate(limits.rates[i], key); !rate) return rate;
  }
  return {};
}

Expected<void> check_concurrent(std::uint32_t concurrent, std::uint32_t most, const std::string& owner) {
  if (concurrent <= most) return {};
  return bad(owner + ".concurrent", fmt::format("{} is out of range", concurrent),
             fmt::format("use 1 to {}", most));
}

Expected<void> check_operation(const OperationPolicy& operation, const std::string& owner) {
  const std::string user = owner + ".user";
  if (auto shared = check_limits(operation.shared, owner); !shared) return shared;
  if (auto permits = check_concurrent(operation.shared.concurrent, detail::kMaxPermits, owner); !permits)
    return permits;
  if (auto permits = check_concurrent(operation.user.concurrent, detail::kMaxUserPermits, user); !permits)
    return permits;
  return check_limits(operation.user, user);
}

Expected<void> check_segment(const SegmentPolicy& segment) {
  if (!detail::valid_segment_name(segment.name)) {
    return bad("segment.name", "not a usable name", "use 1 to 64 letters, digits, '.', '_' or '-'");
  }
  if (segment.users == 0 || segment.users > kMaxUsers) {
    return bad("segment.users", fmt::format("{} is out of range", segment.users),
               fmt::format("use 1 to {}", kMaxUsers));
  }
  if (segment.workers == 0 || segment.workers > detail::kMaxWorkers) {
    return bad("segment.workers", fmt::format("{} is out of range", segment.workers),
               fmt::format("use 1 to {}", detail::kMaxWorkers));
  }
  if ((segment.mode & ~0770U) != 0 || (segment.mode & 0600U) != 0600U) {
    return bad("segment.mode", fmt::format("{:04o} is not allowed", segment.mode), "use 0600, 0640 or 0660");
  }
  if (segment.group.size() >= 64)
    return bad("segment.group", "the name is too long", "use the name of a group of this host");
  return {};
}

bool valid_operation_name(std::string_view name) {
  return detail::valid_segment_name(name) && name.size() <= kMaxNameLength;
}

std::size_t limit_count(const OperationPolicy& operation) {
  return operation.shared.rates.size() + operation.user.rates.size() + 2;
}

Expected<void> check(const Config& config) {
  if (auto segment = check_segment(config.segment); !segment) return segment;
  if (auto global = check_operation(config.global, "global"); !global) return global;
  if (config.operations.size() > kMaxOperations) {
    return bad("operations", fmt::format("{} of them", config.operations.size()),
               fmt::format("use at most {}", kMaxOperations));
  }
  std::size_t limits = limit_count(config.global);
  for (const auto& [name, operation] : config.operations) {
    if (!valid_operation_name(name)) {
      return bad("operations", "an operation's name is not usable",
                 "use 1 to 64 letters, digits, '.', '_' or '-'");
    }
    if (auto sound = check_operation(operation, "operations." + name); !sound) return sound;
    limits += limit_count(operation);
  }
  if (limits > kMaxLimits) {
    return bad("operations", fmt::format("{} limits in all", limits),
               fmt::format("use at most {}", kMaxLimits));
  }
  return {};
}

}  // namespace

Result<void> validate(const Config& config) noexcept {
  try {
    if (auto sound = check(config); !sound) return sound.error();
    return {};
  } catch (const std::exception& e) {
    return Error{Errc::system, e.what(), ""};
  }
}

}  // namespace weir
