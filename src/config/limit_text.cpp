// SPDX-License-Identifier: Apache-2.0

// Rates, windows and durations as text: "30/min burst 10", "100 per 1min", "30s".

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

#include "base/result.hpp"
#include "base/text.hpp"

namespace weir {
namespace {

using detail::quoted;
using std::chrono::nanoseconds;

/// A unit of time. Its first name is the one that it is written with.
struct TimeUnit {
  nanoseconds length;
  std::array<std::string_view, 3> names;
};
constexpr std::array kUnits = std::to_array<TimeUnit>({
    {std::chrono::days(1), {"d", "day"}},
    {std::chrono::hours(1), {"h", "hour"}},
    {std::chrono::minutes(1), {"min", "minute"}},
    {std::chrono::seconds(1), {"s", "sec", "second"}},
    {std::chrono::milliseconds(1), {"ms"}},
    {std::chrono::microseconds(1), {"us"}},
    {nanoseconds(1), {"ns"}},
});

/// The words in which errors speak of the text that is read.
struct Wording {
  const char* example;   ///< hint: how to write the whole
  const char* fraction;  ///< hint: how to write a value that is not a whole number
  const char* length;    ///< what a length of time is called
  const char* unit;      ///< what the word after the number is called
  const char* units;     ///< hint: which units there are
};

constexpr Wording kDuration = {"write it as in \"30s\"", "write \"1500ms\" instead of \"1.5s\"", "duration",
                               "unit", "use ms, s, min, h or d"};
constexpr Wording kRate = {"write it as in \"30/min burst 10\"", "write \"3/2s\" instead of \"1.5/s\"",
                           "period", "period", "use s, min, hour or day"};
constexpr Wording kWindow = {"write it as in \"100 per 1min\"",
                             "write \"100 per 90s\" instead of \"100 per 1.5min\"", "period", "period",
                             "use s, min, hour or day"};
constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();

/// Reads numbers, words and lengths of time from left to right, and skips spaces between them.
class TextReader {
 public:
  TextReader(std::string_view text, const Wording& wording) : text_(text), rest_(text), wording_(wording) {}

  [[nodiscard]] Error refuse(const std::string& problem, std::string hint) const {
    return {Errc::config, quoted(text_) + ": " + problem, std::move(hint)};
  }
  [[nodiscard]] Error refuse(const std::string& problem) const { return refuse(problem, wording_.example); }

  /// The next character that is not a space; NUL at the end.
  char peek() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_.front();
  }

  bool take(char expected) {
    if (peek() != expected) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool take(std::string_view expected) {
    const std::string_view start = rest_;
    if (word() == expected) return true;
    rest_ = start;
    return false;
  }

  [[nodiscard]] Result<std::uint64_t> number(std::string_view what, std::uint64_t least = 1,
                                             std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    const std::string too_small = fmt::format("the {} must be at least {}", what, least);
    if (peek() == '-') return refuse(too_small);
    const std::string text = digits();
    if (!rest_.empty() && (rest_.front() == '.' || rest_.front() == ',')) {
      return refuse(fmt::format("the {} must be a whole number", what), wording_.fraction);
    }
    if (text.empty()) return refuse(fmt::format("the {} is missing", what));
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string too_large = fmt::format("the {} is too large", what);
    if (parsed.ec != std::errc()) return refuse(too_large);
    if (value > most) return refuse(too_large, fmt::format("use at most {}", most));
    if (value < least) return refuse(too_small);
    return value;
  }

  /// Reads a length of time in which the number 1 may be left out: "min", "10s".
  [[nodiscard]] Result<nanoseconds> period() {
    std::uint64_t count = 1;
    if (peek() != '\0' && !is_letter(peek())) {
      WEIR_TRY(count, number("period"));
    }
    return units(count);
  }

  /// Reads the unit after a number. @return `count` of these units.
  [[nodiscard]] Result<nanoseconds> units(std::uint64_t count) {
    const std::string_view name = word();
    if (name.empty()) return refuse(fmt::format("the {} is missing", wording_.unit), wording_.units);
    for (const TimeUnit& unit : kUnits) {
      if (std::ranges::find(unit.names, name) == unit.names.end()) continue;
      const auto most = static_cast<std::uint64_t>(nanoseconds::max() / unit.length);
      if (count > most) {
        return refuse(fmt::format("the {} is too long", wording_.length),
                      fmt::format("use at most {}{}", most, name));
      }
      return unit.length * static_cast<std::int64_t>(count);
    }
    return refuse(fmt::format("unknown {} {}", wording_.unit, quoted(name)), wording_.units);
  }

  [[nodiscard]] Result<void> end() {
    if (peek() != '\0' || !rest_.empty()) return refuse("unexpected " + quoted(rest_));
    return {};
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

  std::string_view word() {
    peek();
    std::size_t length = 0;
    while (length < rest_.size() && is_letter(rest_[length])) ++length;
    const std::string_view result = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return result;
  }

  /// Reads digits, and skips underscores between them, as in "2_000".
  std::string digits() {
    std::string result;
    for (peek(); !rest_.empty(); rest_.remove_prefix(1)) {
      const bool between = !result.empty() && rest_.size() > 1 && is_digit(rest_[1]);
      if (is_digit(rest_.front())) {
        result += rest_.front();
      } else if (rest_.front() != '_' || !between) {
        break;
      }
    }
    return result;
  }

  std::string_view text_;
  std::string_view rest_;
  const Wording& wording_;
};

Result<std::uint32_t> read_burst(TextReader& reader, std::uint64_t count) {
  if (reader.take("burst")) {
    WEIR_TRY(const std::uint64_t given, reader.number("burst", 1, kMost));
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
  WEIR_TRY(const std::uint64_t limit, reader.number("limit", 1, kMost));
  if (!reader.take("per")) return reader.refuse("no \"per\" after the limit");
  WEIR_TRY(const nanoseconds length, reader.period());
  WEIR_TRY_VOID(reader.end());
  return Window{static_cast<std::uint32_t>(limit), length};
}

Result<nanoseconds> read_duration(TextReader reader) {
  WEIR_TRY(const std::uint64_t count, reader.number("duration", 0));
  WEIR_TRY(const nanoseconds duration, reader.units(count));
  WEIR_TRY_VOID(reader.end());
  return duration;
}

/// The longest unit of which a duration is a whole number.
const TimeUnit& unit_of(nanoseconds duration) {
  return *std::ranges::find_if(
      kUnits, [&](const TimeUnit& unit) { return duration % unit.length == nanoseconds(0); });
}

/// "hour", "10s", "2h"
std::string format_period(nanoseconds period) {
  const TimeUnit& unit = unit_of(period);
  if (period != unit.length) return format_exact_duration(period);
  return std::string(unit.names[unit.length >= std::chrono::hours(1) ? 1 : 0]);
}

std::uint64_t divided_up(std::uint64_t value, std::uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

}  // namespace

Result<Rate> parse_rate(std::string_view text) noexcept {
  return detail::guarded([&] { return read_rate({text, kRate}); });
}

Result<Window> parse_window(std::string_view text) noexcept {
  return detail::guarded([&] { return read_window({text, kWindow}); });
}

Result<nanoseconds> parse_duration(std::string_view text) noexcept {
  return detail::guarded([&] { return read_duration({text, kDuration}); });
}

std::string format_rate(const Rate& rate) {
  const std::string text = fmt::format("{}/{}", rate.count, format_period(rate.period));
  return rate.burst == rate.count ? text : fmt::format("{} burst {}", text, rate.burst);
}

std::string format_window(const Window& window) {
  return fmt::format("{} per {}", window.limit, format_exact_duration(window.length));
}

std::string format_exact_duration(nanoseconds duration) {
  if (duration == nanoseconds(0)) return "0s";
  const TimeUnit& unit = unit_of(duration);
  return fmt::format("{}{}", duration / unit.length, unit.names.front());
}

std::string format_duration(nanoseconds duration) {
  if (duration <= nanoseconds(0)) return "0s";
  const auto ns = static_cast<std::uint64_t>(duration.count());
  const auto length_of = [](std::size_t unit) {
    return static_cast<std::uint64_t>(kUnits[unit].length.count());
  };
  for (std::size_t unit = kUnits.size(); unit-- > 0;) {  // from the shortest
    const std::uint64_t length = length_of(unit);
    const std::uint64_t next = unit == 0 ? 1'000 : length_of(unit - 1) / length;
    if (ns > length * next) continue;
    for (const std::uint64_t parts : {100U, 10U, 1U}) {  // two decimals, one, none
      const std::uint64_t value = divided_up(ns * parts, length);
      if (value >= std::min<std::uint64_t>(1'000, next * parts)) continue;
      return fmt::format("{:g}{}", static_cast<double>(value) / static_cast<double>(parts),
                         kUnits[unit].names.front());
    }
  }
  return fmt::format("{}d", divided_up(ns, length_of(0)));
}

}  // namespace weir
