#include "access_log.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace weir::replay {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// The value of a text of digits alone; else -1, which no part of a date or clock may be.
int number(std::string_view digits) noexcept {
  int value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return -1;
    value = 10 * value + (digit - '0');
  }
  return value;
}

bool in_range(int value, int last) noexcept {
  return value >= 0 && value <= last;
}

// "17/May/2015"
std::optional<std::chrono::sys_days> parse_date(std::string_view text) noexcept {
  const int day = number(text.substr(0, 2));
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(3, 3));
  const int year = number(text.substr(7, 4));
  if (day < 0 || year < 0 || month == kMonths.end() || text[2] != '/' || text[6] != '/') return {};
  const std::chrono::year_month_day date{
      std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month - kMonths.begin() + 1)),
      std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return {};
  return std::chrono::sys_days(date);
}

// "10:05:03"
std::optional<std::chrono::seconds> parse_clock(std::string_view text) noexcept {
  const int hour = number(text.substr(0, 2));
  const int minute = number(text.substr(3, 2));
  const int second = number(text.substr(6, 2));
  if (!in_range(hour, 23) || !in_range(minute, 59) || !in_range(second, 59)) return {};
  if (text[2] != ':' || text[5] != ':') return {};
  return std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second);
}

// "+0130": how far the clock runs ahead of UTC
std::optional<std::chrono::minutes> parse_zone(std::string_view text) noexcept {
  const int hours = number(text.substr(1, 2));
  const int minutes = number(text.substr(3, 2));
  if (!in_range(hours, 23) || !in_range(minutes, 59) || (text[0] != '+' && text[0] != '-')) return {};
  const auto offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return text[0] == '+' ? offset : -offset;
}

// The bytes before the next space, and `rest` behind it. Empty: there is no such field.
std::string_view take_field(std::string_view& rest) noexcept {
  const std::size_t end = rest.find(' ');
  if (end == std::string_view::npos) return {};
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return field;
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_log_time(std::string_view text) noexcept {
  if (text.size() != kLogTimeLength || text[11] != ':' || text[20] != ' ') return {};
  const auto date = parse_date(text.substr(0, 11));
  const auto clock = parse_clock(text.substr(12, 8));
  const auto ahead = parse_zone(text.substr(21, 5));
  if (!date || !clock || !ahead) return {};
  return *date + *clock - *ahead;
}

std::optional<std::chrono::sys_seconds> LogParser::time_of(std::string_view text) noexcept {
  if (std::memcmp(text.data(), known_text_.data(), kLogTimeLength) == 0) return known_time_;
  const auto time = parse_log_time(text);
  if (time) {
    known_text_ = text;
    known_time_ = *time;
  }
  return time;
}

std::optional<LogEntry> LogParser::parse(std::string_view line) noexcept {
  constexpr std::size_t kTail = 1 + kLogTimeLength + 3;  // [time] "
  std::string_view rest = line;
  const std::string_view user = take_field(rest);
  if (user.empty() || take_field(rest).empty() || take_field(rest).empty()) return {};
  if (rest.size() < kTail || rest[0] != '[' || rest.substr(1 + kLogTimeLength, 3) != "] \"") return {};
  const auto time = time_of(rest.substr(1, kLogTimeLength));
  if (!time) return {};
  return LogEntry{user, *time};
}

}  // namespace weir::replay
