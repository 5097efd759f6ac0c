// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lines of one log, from a file or from standard input, compressed by gzip or not.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pipe.hpp"

namespace weir::replay {

class Inflater;

/// Reads piece by piece: memory is bounded by a buffer and the longest line.
class LogSource {
 public:
  /// Longer lines are cut: the rest is skipped up to the end of the line.
  static constexpr std::size_t kLongestLine = std::size_t{4} << 20;

  /// Opens a file, or standard input for "-". Throws std::runtime_error, which names the log.
  explicit LogSource(const std::string& path);
  LogSource(LogSource&&) noexcept;
  LogSource& operator=(LogSource&&) noexcept;
  ~LogSource();

  /// Gets the next line without its newline, valid until the next call. @return false if there are no more.
  /// Throws std::runtime_error if the log cannot be read, or is not complete.
  [[nodiscard]] bool next(std::string_view& line);

  /// What people call it: its path, or "standard input".
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool is_same_file_as(const LogSource& other) const noexcept;

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }    ///< of a regular file; otherwise 0
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }  ///< bytes read, before decompression

 private:
  [[noreturn]] void fail(std::string_view what) const;
  [[nodiscard]] std::size_t read_raw(char* to, std::size_t size);
  void find_compression();
  [[nodiscard]] bool refill();

  std::string name_;
  Fd fd_;
  std::unique_ptr<Inflater> inflater_;  ///< null: the log is not compressed
  std::string buffer_;                  ///< lines begin at begin_; no line ends between begin_ and scanned_
  std::size_t begin_ = 0;
  std::size_t scanned_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  bool started_ = false;
  bool at_end_ = false;
  bool skipping_ = false;  ///< the rest of a line that was cut
};

}  // namespace weir::replay
