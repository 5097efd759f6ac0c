#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <fmt/format.h>
#include <limits>
#include <string>
#include <string_view>

#include "weir/config.hpp"

#include "base/expected.hpp"
#include "base/text.hpp"

namespace weir {
namespace {

using detail::Expected;
using detail::quoted;
using std::chrono::nanoseconds;

struct Unit {
  std::string_view name;
  nanoseconds length;
};

constexpr std::array kUnits = std::to_array<Unit>({
    {"s", std::chrono::seconds(1)},
    {"sec", std::chrono::seconds(1)},
    {"second", std::chrono::seconds(1)},
    {"min", std::chrono::minutes(1)},
    {"minute", std::chrono::minutes(1)},
    {"h", std::chrono::hours(1)},
    {"hour", std::chrono::hours(1)},
    {"d", std::chrono::days(1)},
    {"day", std::chrono::days(1)},
    {"ms", std::chrono::milliseconds(1)},
    {"us", std::chrono::microseconds(1)},
    {"ns", std::chrono::nanoseconds(1)},
});

constexpr std::uint64_t kMaxBurst = std::numeric_limits<std::uint32_t>::max();
constexpr const char* kExample = "write it as in \"30/min burst 10\"";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Reads `COUNT / [COUNT] PERIOD [burst COUNT]` from left to right.
class RateReader {
 public:
  explicit RateReader(std::string_view text) : text_(text), rest_(text) {}

  Expected<Rate> read() {
    const Expected<std::uint64_t> count = number("count");
    if (!count) return tl::make_unexpected(count.error());
    if (peek() != '/') return refuse("no \"/\" after the count", kExample);
    rest_.remove_prefix(1);
    const Expected<nanoseconds> length = period();
    if (!length) return tl::make_unexpected(length.error());
    const Expected<std::uint32_t> depth = burst(*count);
    if (!depth) return tl::make_unexpected(depth.error());
    if (peek() != '\0' || !rest_.empty()) return refuse("unexpected " + quoted(rest_), kExample);
    return Rate{*count, *length, *depth};
  }

 private:
  tl::unexpected<Error> refuse(const std::string& problem, std::string hint) const {
    return detail::fail(Errc::config, quoted(text_) + ": " + problem, std::move(hint));
  }

  /// The next character that is not a space; NUL at the end.
  char peek() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_.front();
  }

  std::string_view word() {
    peek();
    std::size_t length = 0;
    while (length < rest_.size() && is_letter(rest_[length])) ++length;
    const std::string_view result = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return result;
  }

  /// "2_000" without its underscores, which stand between digits only.
  std::string digits() {
    std::string result;
    peek();
    while (!rest_.empty()) {
      const bool separator =
          rest_.front() == '_' && !result.empty() && rest_.size() > 1 && is_digit(rest_[1]);
      if (!separator && !is_digit(rest_.front())) break;
      if (!separator) result += rest_.front();
      rest_.remove_prefix(1);
    }
    return result;
  }

  Expected<std::uint64_t> number(std::string_view what) {
    if (peek() == '-') return refuse(fmt::format("the {} must be at least 1", what), kExample);
    const std::string text = digits();
    if (!rest_.empty() && (rest_.front() == '.' || rest_.front() == ',')) {
      return refuse(fmt::format("the {} must be a whole number", what),
                    "write \"3/2s\" instead of \"1.5/s\"");
    }
    if (text.empty()) return refuse(fmt::format("the {} is missing", what), kExample);
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc()) return refuse(fmt::format("the {} is too large", what), kExample);
    if (value == 0) return refuse(fmt::format("the {} must be at least 1", what), kExample);
    return value;
  }

  Expected<nanoseconds> period() {
    std::uint64_t count = 1;
    if (peek() != '\0' && !is_letter(peek())) {
      const Expected<std::uint64_t> given = number("period");
      if (!given) return tl::make_unexpected(given.error());
      count = *given;
    }
    const std::string_view name = word();
    for (const Unit& unit : kUnits) {
      if (unit.name != name) continue;
      const auto most = static_cast<std::uint64_t>(nanoseconds::max() / unit.length);
      if (count > most) return refuse("the period is too long", fmt::format("use at most {}{}", most, name));
      return unit.length * static_cast<std::int64_t>(count);
    }
    const std::string problem = name.empty() ? "the period is missing" : "unknown period " + quoted(name);
    return refuse(problem, "use s, min, hour or day");
  }

  Expected<std::uint32_t> burst(std::uint64_t count) {
    const std::string_view start = rest_;
    if (word() == "burst") {
      const Expected<std::uint64_t> given = number("burst");
      if (!given) return tl::make_unexpected(given.error());
      if (*given > kMaxBurst)
        return refuse("the burst is too large", fmt::format("use at most {}", kMaxBurst));
      return static_cast<std::uint32_t>(*given);
    }
    rest_ = start;
    if (count > kMaxBurst) {
      return refuse(fmt::format("a burst as large as the count exceeds {}", kMaxBurst),
                    "say how much may come at once, as in \"30/min burst 10\"");
    }
    return static_cast<std::uint32_t>(count);
  }

  std::string_view text_;
  std::string_view rest_;
};

/// "hour", "10s", "2h": in the largest unit that divides the period.
std::string format_period(nanoseconds period) {
  struct Name {
    std::string_view one;
    std::string_view many;
    nanoseconds length;
  };
  constexpr std::array kNames = std::to_array<Name>({
      {"day", "d", std::chrono::days(1)},
      {"hour", "h", std::chrono::hours(1)},
      {"min", "min", std::chrono::minutes(1)},
      {"s", "s", std::chrono::seconds(1)},
      {"ms", "ms", std::chrono::milliseconds(1)},
      {"us", "us", std::chrono::microseconds(1)},
  });
  for (const Name& name : kNames) {
    if (period == name.length) return std::string(name.one);
    if (period > name.length && period % name.length == nanoseconds(0)) {
      return fmt::format("{}{}", period / name.length, name.many);
    }
  }
  return period == nanoseconds(1) ? "ns" : fmt::format("{}ns", period.count());
}

std::uint64_t divided_up(std::uint64_t value, std::uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

/// `value` / 10^decimals, without zeros at the end of the fraction.
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

Result<Rate> parse_rate(std::string_view text) noexcept try {
  Expected<Rate> rate = RateReader(text).read();
  if (!rate) return rate.error();
  return *rate;
} catch (const std::exception& failure) {
  return Error{Errc::system, failure.what(), {}};
}

std::string format_rate(const Rate& rate) {
  const std::string text = fmt::format("{}/{}", rate.count, format_period(rate.period));
  return rate.burst == rate.count ? text : fmt::format("{} burst {}", text, rate.burst);
}

std::string format_duration(nanoseconds duration) {
  struct Scale {
    std::string_view name;
    std::uint64_t ns;
    std::uint64_t next;  // so many make one of the next scale
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
