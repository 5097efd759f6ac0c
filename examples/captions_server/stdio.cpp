// SPDX-License-Identifier: Apache-2.0
#include "stdio.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <initializer_list>
#include <poll.h>
#include <unistd.h>

namespace captions {
namespace {

/// One line, cut at what a pipe takes in one piece: lines of several processes do not mix.
class Line {
 public:
  Line(std::initializer_list<std::string_view> parts) noexcept {
    for (const std::string_view part : parts) {
      const std::size_t taken = std::min(part.size(), sizeof bytes_ - 1 - size_);
      std::copy_n(part.data(), taken, bytes_ + size_);
      size_ += taken;
    }
    bytes_[size_++] = '\n';
  }

  void write_to(int descriptor) const noexcept {
    pollfd output{descriptor, POLLOUT, 0};
    if (::poll(&output, 1, 0) != 1 || (output.revents & POLLOUT) == 0) return;
    while (::write(descriptor, bytes_, size_) < 0 && errno == EINTR) {
    }
  }

 private:
  char bytes_[PIPE_BUF];
  std::size_t size_ = 0;
};

}  // namespace

void secure_standard_descriptors() noexcept {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one, because those below it are open. Without /dev (a sandbox) a
    // directory does as well: it can be neither read nor written.
    if (::open("/dev/null", O_RDWR) < 0) static_cast<void>(::open("/", O_RDONLY));
  }
  std::signal(SIGPIPE, SIG_IGN);
}

void announce(std::string_view line) noexcept {
  Line({line}).write_to(STDOUT_FILENO);
}

void say(std::string_view line) noexcept {
  Line({"captions_server: ", line}).write_to(STDERR_FILENO);
}

}  // namespace captions
