#include "workers/inherited.hpp"

#include <array>
#include <atomic>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::detail {
namespace {

struct Remembered {
  std::atomic<int> fd{-1};
  dev_t device = 0;
  ino_t inode = 0;
};

constexpr int kBeingWritten = -2;
std::array<Remembered, 64> g_remembered;

void close_all() noexcept {
  for (Remembered& entry : g_remembered) {
    const int fd = entry.fd.exchange(-1, std::memory_order_acquire);
    struct stat info {};
    if (fd < 0 || ::fstat(fd, &info) != 0) continue;
    if (info.st_dev == entry.device && info.st_ino == entry.inode) ::close(fd);
  }
}

}  // namespace

void close_in_children(int fd, dev_t device, ino_t inode) noexcept {
  [[maybe_unused]] static const int installed = ::pthread_atfork(nullptr, nullptr, close_all);
  for (Remembered& entry : g_remembered) {
    int free = -1;
    if (!entry.fd.compare_exchange_strong(free, kBeingWritten, std::memory_order_acquire)) continue;
    entry.device = device;
    entry.inode = inode;
    entry.fd.store(fd, std::memory_order_release);
    return;
  }
}

void keep_in_children(int fd) noexcept {
  for (Remembered& entry : g_remembered) {
    int expected = fd;
    if (entry.fd.compare_exchange_strong(expected, -1, std::memory_order_release)) return;
  }
}

}  // namespace weir::detail
