// SPDX-License-Identifier: Apache-2.0
#include "base/wiped_memory.hpp"

#include <sys/mman.h>

namespace weir::detail {

void* map_wiped(std::size_t bytes) noexcept {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (::madvise(memory, bytes, MADV_WIPEONFORK) == 0) return memory;
  unmap_wiped(memory, bytes);
  return nullptr;
}

void unmap_wiped(void* memory, std::size_t bytes) noexcept {
  ::munmap(memory, bytes);
}

}  // namespace weir::detail
