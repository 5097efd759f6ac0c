// SPDX-License-Identifier: Apache-2.0
#pragma once

// A progress bar on a terminal; it draws nothing elsewhere.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fmt/format.h>
#include <string>

#include "common/output.hpp"

namespace weir::replay {

class ProgressBar {
 public:
  explicit ProgressBar(std::uint64_t bytes)
      : bytes_(bytes >= kFewBytes && tools::can_redraw(STDERR_FILENO) ? bytes : 0) {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(std::uint64_t done) {
    if (bytes_ == 0) return;
    const std::uint64_t percent = 100 * (done < bytes_ ? done : bytes_) / bytes_;
    if (percent == shown_) return;
    shown_ = percent;
    std::fputs(fmt::format("\r[{:<50}] {:>3} %", std::string(percent / 2, '#'), percent).c_str(), stderr);
  }

  void clear() {
    if (shown_ != 0) std::fputs("\r\x1b[K", stderr);
    shown_ = 0;
  }

 private:
  static constexpr std::uint64_t kFewBytes = std::uint64_t{1} << 23;  // read before a bar could be seen

  std::uint64_t bytes_;
  std::uint64_t shown_ = 0;
};

}  // namespace weir::replay
