// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "weir/error.hpp"

namespace captions {

/// Who sent a request.
struct Caller {
  std::string user;
  bool admin = false;
};

/// The bearer keys of the service, and whose they are.
class ApiKeys {
 public:
  static constexpr std::size_t kMaxLength = 64;

  /// Keys to play with: demo-key-alice, -bob, -carol, -dave, and demo-key-admin, who may reset the limits.
  [[nodiscard]] static ApiKeys demo();

  /// Reads lines of `key user` or `key user admin`; blank lines and lines that begin with '#' are skipped.
  /// Errors  Errc::not_found; Errc::config naming file and line, never the key.
  [[nodiscard]] static weir::Result<ApiKeys> load(const std::string& path);

  /// The caller that has this key; nullptr if there is none. It compares every key up to its last byte, so that the
  /// time does not tell how much of a guess was right.
  [[nodiscard]] const Caller* find(std::string_view key) const noexcept;

 private:
  using Padded = std::array<char, kMaxLength>;  // filled with zeros: every comparison takes as many steps
  struct Entry {
    Padded key;
    Caller caller;
  };

  [[nodiscard]] static bool is_key(std::string_view text) noexcept;
  [[nodiscard]] static Padded pad(std::string_view key) noexcept;
  [[nodiscard]] static weir::Result<Entry> parse_line(const std::string& line);

  std::vector<Entry> entries_;
};

}  // namespace captions
