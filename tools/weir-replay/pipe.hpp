// SPDX-License-Identifier: Apache-2.0
#pragma once

// Descriptors that close themselves, and functions that read or write everything.

#include <string>
#include <string_view>
#include <utility>

namespace weir::replay {

/// An open file descriptor, or none (-1).
class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

struct Pipe {
  Fd read_end;
  Fd write_end;
};

/// Throws std::runtime_error if the process may not open more files.
[[nodiscard]] Pipe make_pipe();

/// Appends everything up to the end of the file. @return false if that failed; errno says why.
[[nodiscard]] bool read_to_end(const Fd& from, std::string& to);

/// Copies everything up to the end of the file. @return false if that failed; errno says why.
[[nodiscard]] bool copy_all(const Fd& from, const Fd& to);

/// Writes all bytes. @return false if the other end is closed, or if errno says why.
[[nodiscard]] bool write_all(const Fd& to, std::string_view bytes) noexcept;

/// Reads `size` bytes. @return false if the other end was closed before it wrote them.
[[nodiscard]] bool read_exactly(const Fd& from, char* to, std::size_t size) noexcept;

}  // namespace weir::replay
