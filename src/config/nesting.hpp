// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::detail {

inline constexpr std::size_t kDeepest = 64;  ///< the format itself needs 7

/// Finds TOML that nests too deeply for recursion. toml++ recurses when it follows the parts of a dotted key and when
/// it frees tables in tables, and a file may have a hundred thousand of them.
class NestingScan {
 public:
  explicit NestingScan(std::string_view toml) : toml_(toml) {}

  /// The first line that nests too deeply, if there is one. Text after a syntax error may be misread here, which does
  /// no harm, since the parser stops at the error.
  [[nodiscard]] std::optional<std::size_t> too_deep() {
    while (at_ < toml_.size()) {
      step(toml_[at_]);
      if (depth_ > kDeepest)
        return 1 + static_cast<std::size_t>(std::ranges::count(toml_.substr(0, at_), '\n'));
    }
    return std::nullopt;
  }

 private:
  void step(char c) {
    if (c == '"' || c == '\'') return skip_string(c);
    if (c == '#') {
      at_ = std::min(toml_.find('\n', at_), toml_.size());
      return;
    }
    ++at_;
    if (c == '.') {
      ++dots_;
      ++depth_;
    } else if (c == '[' || c == '{') {
      open_.push_back(std::exchange(dots_, 0));
      ++depth_;
    } else if ((c == ']' || c == '}') && !open_.empty()) {
      depth_ -= dots_ + 1;
      dots_ = open_.back();
      open_.pop_back();
    } else if (c == ',' || c == '\n') {  // the key ends, and with it what its dots opened
      depth_ -= std::exchange(dots_, 0);
    }
  }

  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool multi_line = toml_.substr(at_).starts_with(three);
    const std::string_view end = std::string_view(three).substr(multi_line ? 0 : 2);
    for (at_ += end.size(); at_ < toml_.size() && !toml_.substr(at_).starts_with(end); ++at_) {
      if (toml_[at_] == '\n' && !multi_line) return;  // the quote is not closed, so the parser stops here
      if (toml_[at_] == '\\' && quote == '"') ++at_;
    }
    at_ = std::min(at_ + end.size(), toml_.size());
    // A multi-line string may end in up to five quotes, of which the last three close it.
    for (int more = 2; multi_line && more > 0 && toml_.substr(at_).starts_with(quote); --more) ++at_;
  }

  std::string_view toml_;
  std::size_t at_ = 0;
  std::size_t dots_ = 0;           ///< dots of the current key
  std::size_t depth_ = 0;          ///< open brackets, and dots of all keys around this character
  std::vector<std::size_t> open_;  ///< the dots of the key before each open bracket
};

}  // namespace weir::detail
