#pragma once

// One line of an Apache or nginx access log (common or combined format): who asked, and when.

#include <chrono>
#include <optional>
#include <string_view>

namespace weir::replay {

struct LogEntry {
  std::string_view user;  ///< the client's address: the bytes before the first space
  std::chrono::sys_seconds time;
};

/// The length of "17/May/2015:10:05:03 +0000".
inline constexpr std::size_t kLogTimeLength = 26;

/// The instant of "17/May/2015:10:05:03 +0000"; nothing if no calendar or clock shows that.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_log_time(std::string_view text) noexcept;

/// Reads the lines of one log, which must outlive it; remembers the last time it read, because the next line
/// mostly bears the same.
class LogParser {
 public:
  /// Takes a line of the form `address identity user [time] "...`; nothing if it has another.
  [[nodiscard]] std::optional<LogEntry> parse(std::string_view line) noexcept;

 private:
  [[nodiscard]] std::optional<std::chrono::sys_seconds> time_of(std::string_view text) noexcept;

  // A true pair from the start: an empty text would vouch for a line that has zero bytes for a time.
  std::string_view known_text_ = "01/Jan/1970:00:00:00 +0000";
  std::chrono::sys_seconds known_time_{};
};

}  // namespace weir::replay
