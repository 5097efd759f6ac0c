// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads one line of an access log: who requested what, and when.
//
// It reads the common and the combined format of Apache and nginx, with or without a virtual host before
// them, and JSON objects as nginx, Caddy and Traefik write them; each may follow a prefix of syslog, docker
// or Kubernetes.

#include <optional>
#include <string>
#include <string_view>

#include "log_time.hpp"

namespace weir::replay {

/// Which part of a line names the user.
struct UserField {
  enum class Kind { address, forwarded, name, header };

  Kind kind = Kind::address;
  std::string header;  ///< for Kind::header: a key of a JSON line, or a request header in it

  [[nodiscard]] static UserField of(std::string_view text);
};

/// A line that is a request. The texts last until the next line is parsed.
struct LogEntry {
  LogTime time;
  std::string_view user{};  ///< empty: the line does not name a user
  bool is_address = false;  ///< the user is an address, which may be one of many of the same client
  std::string_view path{};  ///< as it was sent, with its query; empty: the request has no path
};

/// Parses lines. It remembers the last time that it read, because the next line usually has the same.
class LineParser {
 public:
  explicit LineParser(UserField field) : field_(std::move(field)) {}

  /// @return nothing if the line is not a request, or is in an unknown format.
  [[nodiscard]] std::optional<LogEntry> parse(std::string_view line);

 private:
  [[nodiscard]] std::optional<LogEntry> parse_text(std::string_view line);
  [[nodiscard]] std::optional<LogEntry> parse_json(std::string_view line, bool nested);
  [[nodiscard]] std::optional<LogEntry> parse_wrapped(std::string_view line);
  [[nodiscard]] std::optional<LogTime> time_of(std::string_view text) noexcept;
  void set_user(LogEntry& entry, std::string_view address, std::string_view name, std::string_view forwarded);

  UserField field_;
  std::string known_text_;
  LogTime known_time_{};
  // The texts of an entry point into these, unless they can point into the line itself.
  std::string user_;
  std::string path_;
};

/// Whether a text is an IPv4 or IPv6 address.
[[nodiscard]] bool is_address(std::string_view text) noexcept;

/// A line without the prefix of syslog, docker or Kubernetes.
[[nodiscard]] std::string_view without_prefix(std::string_view line) noexcept;

/// A text in which \xhh, \", \\ and the like are replaced by the bytes that they stand for.
[[nodiscard]] std::string unescaped(std::string_view text);

}  // namespace weir::replay
