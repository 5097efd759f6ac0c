// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
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
      step();
      if (depth_ > kDeepest) return line_;
    }
    return std::nullopt;
  }

 private:
  void step() {
    switch (const char c = toml_[at_]) {
      case '#':
        at_ = std::min(toml_.find('\n', at_), toml_.size());
        return;
      case '"':
      case '\'':
        return skip_string(c);
      case '.':
        ++dots_;
        ++depth_;
        break;
      case '[':
      case '{':
        open_.push_back(dots_);
        dots_ = 0;
        ++depth_;
        break;
      case ']':
      case '}':
        close();
        break;
      case '\n':
        ++line_;
        [[fallthrough]];
      case ',':
        depth_ -= dots_;
        dots_ = 0;
        break;
      default:
        break;
    }
    ++at_;
  }

  void close() {
    if (open_.empty()) return;
    depth_ -= dots_ + 1;
    dots_ = open_.back();
    open_.pop_back();
  }

  void skip_string(char quote) {
    const std::size_t run = std::min(toml_.find_first_not_of(quote, at_), toml_.size()) - at_;
    if (run == 2) {
      at_ += 2;
      return;
    }
    const bool multi_line = run >= 3;
    at_ += multi_line ? 3 : 1;
    for (; at_ < toml_.size(); ++at_) {
      const char c = toml_[at_];
      if (c == '\n') {
        if (!multi_line) return;  // the quote is not closed, so the parser stops here
        ++line_;
      }
      if (c == '\\' && quote == '"') {
        ++at_;
        if (at_ < toml_.size() && toml_[at_] == '\n') ++line_;
        continue;
      }
      if (c == quote && ends(quote, multi_line)) return;
    }
  }

  /// Skips the closing quotes. A multi-line string may end in up to five, of which the last three close it.
  bool ends(char quote, bool multi_line) {
    const std::size_t run = std::min(toml_.find_first_not_of(quote, at_), toml_.size()) - at_;
    if (multi_line && run < 3) {
      at_ += run - 1;
      return false;
    }
    at_ += multi_line ? std::min<std::size_t>(run, 5) : 1;
    return true;
  }

  std::string_view toml_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t dots_ = 0;   ///< dots of the current key
  std::size_t depth_ = 0;  ///< open brackets, and dots of all keys around this character
  std::vector<std::size_t> open_;
};

}  // namespace weir::detail
