// SPDX-License-Identifier: Apache-2.0
#include "pipe.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdexcept>
#include <unistd.h>
#include <vector>

namespace weir::replay {
namespace {

constexpr std::size_t kBlock = 1 << 16;

ssize_t read_some(const Fd& from, char* to, std::size_t size) noexcept {
  ssize_t got = 0;
  do {
    got = ::read(from.get(), to, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw std::runtime_error(fmt::format("pipe: {}; use fewer --workers", std::strerror(errno)));
  }
  return {Fd(ends[0]), Fd(ends[1])};
}

bool read_to_end(const Fd& from, std::string& to) {
  std::vector<char> block(kBlock);
  ssize_t got = 0;
  while ((got = read_some(from, block.data(), block.size())) > 0) {
    to.append(block.data(), static_cast<std::size_t>(got));
  }
  return got == 0;
}

bool copy_all(const Fd& from, const Fd& to) {
  std::vector<char> block(kBlock);
  ssize_t got = 0;
  while ((got = read_some(from, block.data(), block.size())) > 0) {
    if (!write_all(to, {block.data(), static_cast<std::size_t>(got)})) return false;
  }
  return got == 0;
}

bool write_all(const Fd& to, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(to.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool read_exactly(const Fd& from, char* to, std::size_t size) noexcept {
  while (size > 0) {
    const ssize_t got = read_some(from, to, size);
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace weir::replay
