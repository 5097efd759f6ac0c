// SPDX-License-Identifier: Apache-2.0
#include "base/descriptor.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process_tag.hpp"

namespace weir::detail {
namespace {

constexpr int kFirstOfOurs = 3;

// A lock of this process. It is free while `holder` is 0 or the tag of an ancestor, because a child does not
// inherit its parent's locks.
struct ProcessLock {
  std::atomic<std::uint64_t> holder{0};
  FileMark file;
  off_t byte = 0;
};
constexpr std::uint64_t kBeingWritten = 2;  // tags are odd
constinit std::array<ProcessLock, 64> g_locks;
constinit std::atomic<bool> g_any_lock{false};  // set once a lock was taken; most processes never take one

bool set_lock(const FileMark& file, off_t byte, short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return file.is_there() && ::fcntl(file.fd(), F_SETLK, &lock) == 0;
}

ProcessLock* find_lock(const FileMark& file, off_t byte) noexcept {
  for (ProcessLock& lock : g_locks) {
    const bool held = lock.holder.load(std::memory_order_seq_cst) == process_tag();
    if (held && lock.file.fd() == file.fd() && lock.byte == byte) return &lock;
  }
  return nullptr;
}

// Closing one descriptor of an inode drops all locks of this process on that inode, so they are taken again.
void renew_process_locks() noexcept {
  for (const ProcessLock& lock : g_locks) {
    if (lock.holder.load(std::memory_order_acquire) == process_tag())
      (void)set_lock(lock.file, lock.byte, F_WRLCK);
  }
}

void close_descriptor(int fd) noexcept {
  const int error = errno;  // callers report the error of the call that failed before
  ::close(fd);
  if (g_any_lock.load(std::memory_order_relaxed)) renew_process_locks();
  errno = error;
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) close_descriptor(fd_);
}

FileHandle above_standard_streams(int fd) noexcept {
  if (fd < 0 || fd >= kFirstOfOurs) return FileHandle(fd);
  const int higher = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOfOurs);
  close_descriptor(fd);  // errno is that of fcntl()
  return FileHandle(higher);
}

FileHandle open_file(const char* path, int flags, mode_t mode) noexcept {
  return above_standard_streams(::open(path, flags | O_CLOEXEC, mode));
}

FileHandle create_memory_file(const char* name) noexcept {
  return above_standard_streams(::memfd_create(name, MFD_CLOEXEC));
}

FileMark FileMark::put_on(int fd) noexcept {
  FileMark mark;
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return mark;
  mark.fd_ = fd;
  mark.device_ = info.st_dev;
  mark.inode_ = info.st_ino;
  std::uint64_t random = 0;
  (void)!::getrandom(&random, sizeof(random), 0);
  constexpr unsigned kBits = 42;  // every common file system has files of this size
  const auto offset = static_cast<off_t>(random >> (64 - kBits) | 1);
  if (::lseek(fd, offset, SEEK_SET) == offset) mark.offset_ = offset;
  return mark;
}

bool FileMark::is_of_this_file(int fd) const noexcept {
  struct stat info {};
  return fd_ >= 0 && fd >= 0 && ::fstat(fd, &info) == 0 && info.st_ino == inode_ && info.st_dev == device_;
}

bool FileMark::has_offset() const noexcept {
  return ::lseek(fd_, 0, SEEK_CUR) == offset_;
}

void FileMark::close() const noexcept {
  if (is_there()) close_descriptor(fd_);
}

bool take_process_lock(const FileMark& file, off_t byte) noexcept {
  if (!set_lock(file, byte, F_WRLCK)) return false;
  const std::uint64_t mine = process_tag();
  for (ProcessLock& lock : g_locks) {
    std::uint64_t seen = lock.holder.load(std::memory_order_relaxed);
    if (seen == mine || seen == kBeingWritten) continue;
    if (!lock.holder.compare_exchange_strong(seen, kBeingWritten, std::memory_order_acq_rel)) continue;
    lock.file = file;
    lock.byte = byte;
    g_any_lock.store(true, std::memory_order_relaxed);
    lock.holder.store(mine, std::memory_order_seq_cst);
    // Lock the byte again: another thread that was dropping it, and had not seen our entry yet, may have
    // unlocked it in the meantime.
    if (set_lock(file, byte, F_WRLCK)) return true;
    lock.holder.store(0, std::memory_order_release);
    return false;
  }
  if (find_lock(file, byte) == nullptr) (void)set_lock(file, byte, F_UNLCK);
  return false;
}

void drop_process_lock(const FileMark& file, off_t byte) noexcept {
  if (ProcessLock* const lock = find_lock(file, byte)) lock->holder.store(0, std::memory_order_seq_cst);
  if (find_lock(file, byte) != nullptr) return;
  (void)set_lock(file, byte, F_UNLCK);
  // If another thread took the byte after we looked, lock it again, because we may just have unlocked it.
  if (find_lock(file, byte) != nullptr) (void)set_lock(file, byte, F_WRLCK);
}

}  // namespace weir::detail
