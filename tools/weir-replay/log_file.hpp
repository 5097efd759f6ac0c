#pragma once

// The log as bytes in memory, the same addresses in all forked workers, and its division into blocks.

#include <string>
#include <string_view>
#include <vector>

namespace weir::replay {

/// A mapped log. Opened once, before any worker is forked.
class LogFile {
 public:
  /// Opens a file, or standard input for "-". Throws std::runtime_error, naming the log.
  explicit LogFile(const std::string& path);

  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile();

  [[nodiscard]] std::string_view bytes() const noexcept { return mapped_; }

 private:
  std::string_view mapped_;
};

/// Cuts a log at line ends into blocks of about `size` bytes, or of one line that is longer.
[[nodiscard]] std::vector<std::string_view> split_into_blocks(std::string_view log, std::size_t size);

}  // namespace weir::replay
