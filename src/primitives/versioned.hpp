// SPDX-License-Identifier: Apache-2.0
#pragma once

// A value of several words, with one writer at a time. Readers are never blocked, and the value is whole
// after any kill.
//
// There are two copies and a version that says which of them counts. The writer fills the spare copy and
// publishes it. If it publishes twice while a reader copies, the reader finds that the version has changed,
// and copies again.
//
// Progress  lock-free for readers: copying again means that another value was published meanwhile.
// Crash     killed while filling: the spare copy is half written, but it is not read, and the next store()
//           fills it again. Killed after publishing: the new value is in force.
// Source    Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?", MSPC 2012.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/word.hpp"

namespace weir::detail {

template <class T>
class Versioned {
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr std::size_t kWords = (sizeof(T) + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
  using Copy = std::array<std::uint64_t, kWords>;

 public:
  [[nodiscard]] T load() const noexcept {
    for (;;) {
      const std::uint64_t version = version_.load(std::memory_order_acquire);  // sync(version)
      Copy copy;
      // sync(slot): acquire; pairs with store(): a reader that meets a new word also sees that the version
      // has changed.
      for (std::size_t i = 0; i < kWords; ++i)
        copy[i] = slots_[version % 2][i].load(std::memory_order_acquire);
      if (version_.load(std::memory_order_relaxed) != version) continue;
      T value;
      std::memcpy(static_cast<void*>(&value), copy.data(), sizeof(value));
      return value;
    }
  }

  /// One member without the others; it lies within one word.
  template <class Member>
  [[nodiscard]] Member load_only(Member T::*member) const noexcept {
    static_assert(std::is_trivially_copyable_v<Member> && sizeof(std::uint64_t) % sizeof(Member) == 0);
    static const T kLayout{};
    const auto offset = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&(kLayout.*member)) -
                                                 reinterpret_cast<const std::byte*>(&kLayout));
    for (;;) {
      const std::uint64_t version = version_.load(std::memory_order_acquire);  // sync(version)
      const Word& slot = slots_[version % 2][offset / sizeof(std::uint64_t)];
      const std::uint64_t word = slot.load(std::memory_order_acquire);  // sync(slot)
      if (version_.load(std::memory_order_relaxed) != version) continue;
      Member value;
      std::memcpy(&value, reinterpret_cast<const std::byte*>(&word) + offset % sizeof(std::uint64_t),
                  sizeof(value));
      return value;
    }
  }

  /// The caller makes sure that there is only one writer at a time.
  void store(const T& value) noexcept {
    Copy copy{};
    std::memcpy(copy.data(), &value, sizeof(value));
    // relaxed: only the writer changes the version.
    const std::uint64_t next = version_.load(std::memory_order_relaxed) + 1;
    // sync(slot): release; pairs with load().
    for (std::size_t i = 0; i < kWords; ++i) slots_[next % 2][i].store(copy[i], std::memory_order_release);
    // crash here: the spare copy is written, but it is not read.
    version_.store(next, std::memory_order_release);  // sync(version): publishes the copy to load()
  }

 private:
  Word version_;
  std::array<std::array<Word, kWords>, 2> slots_;
};

}  // namespace weir::detail
