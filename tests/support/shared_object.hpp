// SPDX-License-Identifier: Apache-2.0
#pragma once

// One object in memory that a process shares with the children that it forks.

#include <cstddef>
#include <new>
#include <span>
#include <sys/mman.h>

namespace weir::test {

template <typename T>
class SharedObject {
 public:
  SharedObject() : memory_(map()), object_(::new (memory_) T{}) {}
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;
  ~SharedObject() { ::munmap(memory_, sizeof(T)); }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return std::as_writable_bytes(std::span(object_, 1));
  }

 private:
  static void* map() {
    void* const memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : throw std::bad_alloc();
  }

  void* memory_;
  T* object_;
};

}  // namespace weir::test
