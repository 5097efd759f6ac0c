#pragma once

// A bar on a terminal, drawn by whichever worker decides; nothing where nobody looks.

#include <cstddef>
#include <fmt/format.h>
#include <unistd.h>

namespace weir::replay {

class ProgressBar {
 public:
  explicit ProgressBar(std::size_t steps) : steps_(::isatty(STDERR_FILENO) == 1 ? steps : 0) {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() {
    if (shown_ != 0) fmt::print(stderr, "\r\x1b[K");
  }

  void show(std::size_t done) {
    if (steps_ < kFewSteps) return;
    const std::size_t percent = 100 * done / steps_;
    if (percent == shown_) return;
    shown_ = percent;
    fmt::print(stderr, "\r[{:<50}] {:>3} %", fmt::format("{:#<{}}", "", percent / 2), percent);
  }

 private:
  static constexpr std::size_t kFewSteps = 16;  // done before anybody could read it

  std::size_t steps_;
  std::size_t shown_ = 0;
};

}  // namespace weir::replay
