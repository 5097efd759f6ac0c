// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <string>
#include <string_view>

#include "weir/config.hpp"

#include "config/text_reader.hpp"

namespace weir {
namespace {

using detail::TextReader;
using std::chrono::nanoseconds;

constexpr detail::Wording kRate = {"write it as in \"30/min burst 10\"",
                                   "write \"3/2s\" instead of \"1.5/s\"", "period", "period",
                                   "use s, min, hour or day"};
constexpr detail::Wording kWindow = {"write it as in \"100 per 1min\"",
                                     "write \"100 per 90s\" instead of \"100 per 1.5min\"", "period",
                                     "period", "use s, min, hour or day"};
constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();

Result<std::uint32_t> read_burst(TextReader& reader, std::uint64_t count) {
  if (reader.take("burst")) {
    WEIR_TRY(const std::uint64_t given, reader.number("burst"));
    if (given > kMost) return reader.refuse("the burst is too large", fmt::format("use at most {}", kMost));
    return static_cast<std::uint32_t>(given);
  }
  if (count > kMost) {
    return reader.refuse(fmt::format("a burst as large as the count exceeds {}", kMost),
                         "say how much may come at once, as in \"30/min burst 10\"");
  }
  return static_cast<std::uint32_t>(count);
}

/// `COUNT / [COUNT] PERIOD [burst COUNT]`
Result<Rate> read_rate(TextReader reader) {
  WEIR_TRY(const std::uint64_t count, reader.number("count"));
  if (!reader.take('/')) return reader.refuse("no \"/\" after the count");
  WEIR_TRY(const nanoseconds period, reader.period());
  WEIR_TRY(const std::uint32_t burst, read_burst(reader, count));
  WEIR_TRY_VOID(reader.end());
  return Rate{count, period, burst};
}

/// `COUNT per [COUNT] PERIOD`
Result<Window> read_window(TextReader reader) {
  WEIR_TRY(const std::uint64_t limit, reader.number("limit"));
  if (limit > kMost) return reader.refuse("the limit is too large", fmt::format("use at most {}", kMost));
  if (!reader.take("per")) return reader.refuse("no \"per\" after the limit");
  WEIR_TRY(const nanoseconds length, reader.period());
  WEIR_TRY_VOID(reader.end());
  return Window{static_cast<std::uint32_t>(limit), length};
}

/// "hour", "10s", "2h"
std::string format_period(nanoseconds period) {
  if (period == std::chrono::days(1)) return "day";
  if (period == std::chrono::hours(1)) return "hour";
  const std::string text = format_exact_duration(period);
  const bool one = text.find_first_not_of("0123456789") == 1 && text.front() == '1';
  return one ? text.substr(1) : text;
}

}  // namespace

Result<Rate> parse_rate(std::string_view text) noexcept {
  return detail::guarded([&] { return read_rate({text, kRate}); });
}

Result<Window> parse_window(std::string_view text) noexcept {
  return detail::guarded([&] { return read_window({text, kWindow}); });
}

std::string format_rate(const Rate& rate) {
  const std::string text = fmt::format("{}/{}", rate.count, format_period(rate.period));
  return rate.burst == rate.count ? text : fmt::format("{} burst {}", text, rate.burst);
}

std::string format_window(const Window& window) {
  return fmt::format("{} per {}", window.limit, format_exact_duration(window.length));
}

}  // namespace weir
