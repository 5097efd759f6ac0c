#pragma once

// The one door through which the library gets descriptors, and through which they are closed.
//
// None is 0, 1 or 2. Where the host program has closed one of those, the next file that is opened gets its
// number, and what is meant for the standard error is then written into that file.
//
// None is closed that is not certainly ours. Code that makes a daemon closes all descriptors that it finds, a
// fork handler closes some in the child, and the number soon stands for another file; that may even be the
// same inode, opened once more. So a descriptor that is kept for long is marked: see FileMark.

#include <cstdint>
#include <sys/types.h>
#include <utility>

namespace weir::detail {

/// A descriptor that closes itself, for the scope that opened it.
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
  /// Leaves the descriptor to the caller.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// As open(2), with O_CLOEXEC. Without a file, errno says why.
[[nodiscard]] FileHandle open_file(const char* path, int flags, mode_t mode = 0) noexcept;

/// As memfd_create(2), with MFD_CLOEXEC.
[[nodiscard]] FileHandle create_memory_file(const char* name) noexcept;

/// Moves a descriptor that was just got elsewhere away from 0, 1 and 2.
[[nodiscard]] FileHandle above_standard_streams(int fd) noexcept;

/// Which open file description a number stood for.
///
/// The mark is a random offset of the description, which nothing of ours reads or writes by. A description
/// that was opened later has another one, whatever its number and its inode; the copy that a forked child
/// inherits is the same description and has the same mark.
class FileMark {
 public:
  FileMark() = default;
  [[nodiscard]] static FileMark put_on(int fd) noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Whether the number still stands for that description.
  [[nodiscard]] bool is_there() const noexcept { return is_of_this_file(fd_) && has_offset(); }
  /// Whether a descriptor is open on that inode.
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

/// A descriptor that is kept for long, and closed only if it is still ours.
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

/// A lock of the whole process (F_SETLK) on one byte of a file, for a process that may not open the file once
/// more. The kernel drops it when the process dies, and does not give it to children; but also when the
/// process closes any descriptor of the inode, so it is taken again whenever one is closed through this door.
/// Each thread that takes a byte holds it: it is unlocked when the last of them has dropped it.
/// @return false: another process holds it, or too many are held.
[[nodiscard]] bool take_process_lock(const FileMark& file, off_t byte) noexcept;
void drop_process_lock(const FileMark& file, off_t byte) noexcept;

}  // namespace weir::detail
