// SPDX-License-Identifier: Apache-2.0
#pragma once

// The library opens and closes all of its descriptors through these functions.
//
// None of them is 0, 1 or 2. If the host program has closed one of those, the next file that is opened gets
// its number, and text that is meant for the standard error would be written into that file.
//
// A descriptor is closed only if it is certainly ours. Code that makes a daemon closes every descriptor that
// it finds, and a fork handler closes some in the child. The number then soon stands for another file, which
// may even be the same inode, opened again. So a descriptor that is kept for a long time is marked: see
// FileMark.

#include <cstdint>
#include <sys/types.h>
#include <utility>

namespace weir::detail {

/// A descriptor that is closed at the end of the scope that opened it.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileHandle();

  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Hands the descriptor to the caller, who must close it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Works as open(2) does, with O_CLOEXEC. If it returns no file, errno says why.
[[nodiscard]] FileHandle open_file(const char* path, int flags, mode_t mode = 0) noexcept;

/// Works as memfd_create(2) does, with MFD_CLOEXEC.
[[nodiscard]] FileHandle create_memory_file(const char* name) noexcept;

/// Moves a descriptor that was just opened by other means to a number above 0, 1 and 2.
[[nodiscard]] FileHandle above_standard_streams(int fd) noexcept;

/// Remembers for which open file description a descriptor number stood.
///
/// The mark is a random file offset of the description. None of our code reads or writes at that offset. A
/// description that was opened later has another offset, even if its number and its inode are the same. The
/// copy that a forked child inherits is the same description and has the same mark.
class FileMark {
 public:
  FileMark() = default;
  [[nodiscard]] static FileMark put_on(int fd) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Whether the number still stands for that description.
  [[nodiscard]] bool is_there() const noexcept { return is_of_this_file(fd_) && has_offset(); }
  /// Whether the descriptor `fd` is open on the same inode.
  [[nodiscard]] bool is_of_this_file(int fd) const noexcept;
  [[nodiscard]] bool is_file(dev_t device, ino_t inode) const noexcept {
    return fd_ >= 0 && device == device_ && inode == inode_;
  }
  /// Closes the number if it still stands for that description.
  void close() const noexcept;

 private:
  [[nodiscard]] bool has_offset() const noexcept;

  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t offset_ = 0;
};

/// A descriptor that is kept for a long time, and is closed only if it is still ours.
class MarkedFile {
 public:
  MarkedFile() = default;
  explicit MarkedFile(FileHandle file) noexcept : mark_(FileMark::put_on(file.release())) {}
  MarkedFile(MarkedFile&& other) noexcept : mark_(std::exchange(other.mark_, {})) {}
  MarkedFile& operator=(MarkedFile&& other) noexcept {
    std::swap(mark_, other.mark_);
    return *this;
  }
  ~MarkedFile() { mark_.close(); }

  [[nodiscard]] int get() const noexcept { return mark_.fd(); }
  [[nodiscard]] const FileMark& mark() const noexcept { return mark_; }

 private:
  FileMark mark_;
};

/// Takes a lock of the whole process (F_SETLK) on one byte of a file, for a process that cannot open the file
/// again. The kernel drops the lock when the process dies, and does not pass it to children. It also drops it
/// when the process closes any descriptor of the inode, so the lock is taken again whenever one is closed by
/// a function of this file. Each thread that takes a byte holds it: the byte is unlocked when the last of
/// them has dropped it.
/// @return false if another process holds the byte, or if this process holds too many locks.
[[nodiscard]] bool take_process_lock(const FileMark& file, off_t byte) noexcept;
void drop_process_lock(const FileMark& file, off_t byte) noexcept;

}  // namespace weir::detail
