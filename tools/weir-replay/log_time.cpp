// SPDX-License-Identifier: Apache-2.0
#include "log_time.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>

namespace weir::replay {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;  // the last whole year that 64 bits of nanoseconds reach

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Reads a text from its front. Once a piece is missing, everything after it fails, too.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : rest_(text) {}

  /// A number of exactly `digits` digits, from `first` to `last`.
  int number(std::size_t digits, int first, int last) noexcept {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (i >= rest_.size() || !is_digit(rest_[i])) return give_up();
      value = 10 * value + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value < first || value > last ? give_up() : value;
  }

  unsigned month_name() noexcept {
    const auto found = std::find(kMonths.begin(), kMonths.end(), rest_.substr(0, 3));
    if (found == kMonths.end()) return static_cast<unsigned>(give_up());
    rest_.remove_prefix(3);
    return static_cast<unsigned>(found - kMonths.begin()) + 1;
  }

  /// Nanoseconds of ".25" or ",25"; 0 if there is no fraction. Digits beyond the ninth are dropped.
  std::int64_t fraction() noexcept {
    if (!take('.') && !take(',')) return 0;
    if (rest_.empty() || !is_digit(rest_[0])) return give_up();
    std::int64_t nanos = 0;
    std::int64_t worth = 100'000'000;
    for (; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1), worth /= 10) {
      nanos += worth * (rest_[0] - '0');
    }
    return nanos;
  }

  bool take(char wanted) noexcept {
    if (rest_.empty() || rest_[0] != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) noexcept {
    if (!take(wanted)) give_up();
  }

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] bool whole() const noexcept { return good_ && rest_.empty(); }

 private:
  int give_up() noexcept {
    good_ = false;
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

struct Clock {
  int hour = 0;
  int minute = 0;
  int second = 0;  ///< up to 60
  std::int64_t nanos = 0;
};

Clock take_clock(Scanner& scanner) noexcept {
  Clock clock;
  clock.hour = scanner.number(2, 0, 23);
  scanner.expect(':');
  clock.minute = scanner.number(2, 0, 59);
  scanner.expect(':');
  clock.second = scanner.number(2, 0, 60);
  clock.nanos = scanner.fraction();
  return clock;
}

// Takes "+0130", "+01:30" or "+01": how far the clock is ahead of UTC.
std::chrono::minutes take_offset(Scanner& scanner) noexcept {
  const bool behind = scanner.take('-');
  if (!behind) scanner.expect('+');
  std::chrono::minutes offset = std::chrono::hours(scanner.number(2, 0, 23));
  if (!scanner.at_end()) {
    (void)scanner.take(':');
    offset += std::chrono::minutes(scanner.number(2, 0, 59));
  }
  return behind ? -offset : offset;
}

std::optional<LogTime> instant(const std::chrono::year_month_day& date, const Clock& clock,
                               std::chrono::minutes ahead) noexcept {
  const int year = static_cast<int>(date.year());
  if (!date.ok() || year < kFirstYear || year > kLastYear) return {};
  const std::chrono::sys_seconds second = std::chrono::sys_days(date) + std::chrono::hours(clock.hour) +
                                          std::chrono::minutes(clock.minute) +
                                          std::chrono::seconds(clock.second) - ahead;
  // A leap second is inserted at the end of a day in UTC, whatever the time zone shows.
  const bool midnight = second.time_since_epoch() % std::chrono::days(1) == std::chrono::seconds(0);
  if (clock.second == 60 && !midnight) return {};
  if (second < std::chrono::sys_seconds{}) return {};
  return LogTime(second) + std::chrono::nanoseconds(clock.nanos);
}

// "17/May/2015:10:05:03 +0000"
std::optional<LogTime> parse_common(std::string_view text) noexcept {
  Scanner scanner(text);
  const int day = scanner.number(2, 1, 31);
  scanner.expect('/');
  const unsigned month = scanner.month_name();
  scanner.expect('/');
  const int year = scanner.number(4, kFirstYear, kLastYear);
  scanner.expect(':');
  const Clock clock = take_clock(scanner);
  scanner.expect(' ');
  const std::chrono::minutes ahead = take_offset(scanner);
  if (!scanner.whole()) return {};
  return instant(
      {std::chrono::year(year), std::chrono::month(month), std::chrono::day(static_cast<unsigned>(day))},
      clock, ahead);
}

// "2015-05-17T10:05:03Z"; Caddy's "wall" format has slashes between the parts of the date.
std::optional<LogTime> parse_iso(std::string_view text) noexcept {
  const char between = text[4];
  Scanner scanner(text);
  const int year = scanner.number(4, kFirstYear, kLastYear);
  scanner.expect(between);
  const int month = scanner.number(2, 1, 12);
  scanner.expect(between);
  const int day = scanner.number(2, 1, 31);
  if (!scanner.take('T') && !scanner.take('t')) scanner.expect(' ');
  const Clock clock = take_clock(scanner);
  std::chrono::minutes ahead{0};
  const bool utc = scanner.take('Z') || scanner.take('z') || scanner.at_end();
  if (!utc) {
    (void)scanner.take(' ');
    ahead = take_offset(scanner);
  }
  if (!scanner.whole()) return {};
  return instant({std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                  std::chrono::day(static_cast<unsigned>(day))},
                 clock, ahead);
}

}  // namespace

std::optional<LogTime> parse_log_time(std::string_view text) noexcept {
  if (text.size() > 4 && (text[4] == '-' || text[4] == '/')) return parse_iso(text);
  return parse_common(text);
}

std::optional<LogTime> parse_epoch_time(std::string_view text) noexcept {
  constexpr std::int64_t kLastSecond = std::int64_t{(kLastYear - kFirstYear + 1)} * 365 * 24 * 3600;
  constexpr std::int64_t kNanos = 1'000'000'000;
  constexpr std::size_t kLongest = 19;  // digits that 64 bits can always hold, without the sign
  const std::size_t digits = std::min(text.find('.'), text.size());
  if (digits == 0 || digits > kLongest ||
      !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits), is_digit))
    return {};
  std::uint64_t value = 0;
  for (const char digit : text.substr(0, digits))
    value = 10 * value + static_cast<std::uint64_t>(digit - '0');
  std::uint64_t unit = 1;  // how many of these are in a second
  while (value / unit > static_cast<std::uint64_t>(kLastSecond) && unit < static_cast<std::uint64_t>(kNanos))
    unit *= 1000;
  if (value / unit > static_cast<std::uint64_t>(kLastSecond)) return {};
  const auto nanos_each = kNanos / static_cast<std::int64_t>(unit);
  Scanner scanner(text.substr(digits));
  const std::int64_t fraction = scanner.fraction();
  if (!scanner.whole()) return {};
  return LogTime(std::chrono::nanoseconds(static_cast<std::int64_t>(value) * nanos_each +
                                          fraction / static_cast<std::int64_t>(unit)));
}

std::string to_iso_text(LogTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace weir::replay
