// SPDX-License-Identifier: Apache-2.0

// Preloaded into the tests by tools/test-arm64.sh: does in a forked child what the kernel does for MADV_WIPEONFORK and
// MADV_DONTFORK. The emulator (QEMU 7.2) accepts both and does nothing, so that a forked worker takes itself for its
// parent, and keeps its parent's lock. A child of a raw clone, which runs no handlers, is not helped here either.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

struct Advice {
  void* begin = nullptr;  // null: this element is free
  std::size_t size = 0;
  int advice = 0;
};

std::mutex g_mutex;
std::array<Advice, 256> g_advice;

Advice* find(void* begin) {
  const auto found = std::find_if(g_advice.begin(), g_advice.end(),
                                  [&](const Advice& advice) { return advice.begin == begin; });
  return found == g_advice.end() ? nullptr : &*found;
}

void follow_in_child() {
  for (Advice& advice : g_advice) {
    if (advice.begin == nullptr) continue;
    if (advice.advice == MADV_WIPEONFORK) {
      std::memset(advice.begin, 0, advice.size);
    } else {
      syscall(SYS_munmap, advice.begin, advice.size);
      advice = {};
    }
  }
}

// A program that forks while one of its threads is in here finds the mutex free in the child, and the list whole.
// In a child the handlers run in the order in which they were registered, so these run before those of the program.
[[gnu::constructor]] void prepare() {
  pthread_atfork([] { g_mutex.lock(); }, [] { g_mutex.unlock(); },
                 [] {
                   follow_in_child();
                   g_mutex.unlock();
                 });
}

}  // namespace

extern "C" int madvise(void* begin, std::size_t size, int advice) noexcept {
  if (advice == MADV_WIPEONFORK || advice == MADV_DONTFORK) {
    const std::lock_guard lock(g_mutex);
    if (Advice* const free = find(nullptr)) *free = {begin, size, advice};
  }
  return static_cast<int>(syscall(SYS_madvise, begin, size, advice));
}

extern "C" int munmap(void* begin, std::size_t size) noexcept {
  const std::lock_guard lock(g_mutex);
  if (Advice* const advice = find(begin); begin != nullptr && advice != nullptr) *advice = {};
  return static_cast<int>(syscall(SYS_munmap, begin, size));
}
