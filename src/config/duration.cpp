// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"

#include "config/text_reader.hpp"

namespace weir {
namespace {

using std::chrono::nanoseconds;

constexpr detail::Wording kDuration = {"write it as in \"30s\"", "write \"1500ms\" instead of \"1.5s\"",
                                       "duration", "unit", "use ms, s, min, h or d"};

Result<nanoseconds> read_duration(detail::TextReader reader) {
  WEIR_TRY(const std::uint64_t count, reader.number("duration", 0));
  WEIR_TRY(const nanoseconds duration, reader.units(count));
  WEIR_TRY_VOID(reader.end());
  return duration;
}

std::uint64_t divided_up(std::uint64_t value, std::uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

/// Writes `value` / 10^decimals without trailing zeros.
std::string format_decimal(std::uint64_t value, unsigned decimals) {
  while (decimals > 0 && value % 10 == 0) {
    value /= 10;
    --decimals;
  }
  if (decimals == 0) return std::to_string(value);
  const std::uint64_t one = decimals == 1 ? 10 : 100;
  return fmt::format("{}.{:0{}}", value / one, value % one, decimals);
}

}  // namespace

Result<nanoseconds> parse_duration(std::string_view text) noexcept {
  return detail::guarded([&] { return read_duration({text, kDuration}); });
}

std::string format_exact_duration(nanoseconds duration) {
  constexpr std::array kUnits = std::to_array<detail::TimeUnit>({
      {"d", std::chrono::days(1)},
      {"h", std::chrono::hours(1)},
      {"min", std::chrono::minutes(1)},
      {"s", std::chrono::seconds(1)},
      {"ms", std::chrono::milliseconds(1)},
      {"us", std::chrono::microseconds(1)},
  });
  if (duration == nanoseconds(0)) return "0s";
  for (const detail::TimeUnit& unit : kUnits) {
    if (duration % unit.length == nanoseconds(0))
      return fmt::format("{}{}", duration / unit.length, unit.name);
  }
  return fmt::format("{}ns", duration.count());
}

std::string format_duration(nanoseconds duration) {
  struct Scale {
    std::string_view name;
    std::uint64_t ns;
    std::uint64_t next;  // how many units of this scale make one of the next
  };
  constexpr std::array kScales = std::to_array<Scale>({
      {"ns", 1, 1'000},
      {"us", 1'000, 1'000},
      {"ms", 1'000'000, 1'000},
      {"s", 1'000'000'000, 60},
      {"min", 60'000'000'000, 60},
      {"h", 3'600'000'000'000, 24},
      {"d", 86'400'000'000'000, 1'000},
  });
  if (duration <= nanoseconds(0)) return "0s";
  const auto ns = static_cast<std::uint64_t>(duration.count());
  for (const Scale& scale : kScales) {
    if (ns > scale.ns * scale.next) continue;
    for (const unsigned decimals : {2U, 1U, 0U}) {
      const std::uint64_t one = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
      const std::uint64_t value = divided_up(ns * one, scale.ns);
      if (value < std::min<std::uint64_t>(1'000, scale.next * one))
        return format_decimal(value, decimals) + std::string(scale.name);
    }
  }
  return fmt::format("{}d", divided_up(ns, kScales.back().ns));
}

}  // namespace weir
