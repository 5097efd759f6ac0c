// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "base/text.hpp"

namespace weir::detail {

/// A name of a unit of time. A unit may have several names.
struct TimeUnit {
  std::string_view name;
  std::chrono::nanoseconds length;
};
inline constexpr std::array kTimeUnits = std::to_array<TimeUnit>({
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

/// The words in which errors speak of the text that is read.
struct Wording {
  const char* example;   ///< hint: how to write the whole
  const char* fraction;  ///< hint: how to write a value that is not a whole number
  const char* length;    ///< what a length of time is called
  const char* unit;      ///< what the word after the number is called
  const char* units;     ///< hint: which units there are
};

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

  [[nodiscard]] Result<std::uint64_t> number(std::string_view what, std::uint64_t least = 1) {
    const std::string too_small = fmt::format("the {} must be at least {}", what, least);
    if (peek() == '-') return refuse(too_small);
    const std::string text = digits();
    if (!rest_.empty() && (rest_.front() == '.' || rest_.front() == ',')) {
      return refuse(fmt::format("the {} must be a whole number", what), wording_.fraction);
    }
    if (text.empty()) return refuse(fmt::format("the {} is missing", what));
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc()) return refuse(fmt::format("the {} is too large", what));
    if (value < least) return refuse(too_small);
    return value;
  }

  /// Reads a length of time in which the number 1 may be left out: "min", "10s".
  [[nodiscard]] Result<std::chrono::nanoseconds> period() {
    std::uint64_t count = 1;
    if (peek() != '\0' && !is_letter(peek())) {
      WEIR_TRY(count, number("period"));
    }
    return units(count);
  }

  /// Reads the unit after a number. @return `count` of these units.
  [[nodiscard]] Result<std::chrono::nanoseconds> units(std::uint64_t count) {
    const std::string_view name = word();
    for (const TimeUnit& unit : kTimeUnits) {
      if (unit.name != name) continue;
      const auto most = static_cast<std::uint64_t>(std::chrono::nanoseconds::max() / unit.length);
      if (count > most) {
        return refuse(fmt::format("the {} is too long", wording_.length),
                      fmt::format("use at most {}{}", most, name));
      }
      return unit.length * static_cast<std::int64_t>(count);
    }
    return refuse(name.empty() ? fmt::format("the {} is missing", wording_.unit)
                               : fmt::format("unknown {} {}", wording_.unit, quoted(name)),
                  wording_.units);
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

  std::string_view text_;
  std::string_view rest_;
  const Wording& wording_;
};

}  // namespace weir::detail
