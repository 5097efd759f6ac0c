// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::detail::this_thread {

/// An address on the stack of the first thread that used the library. A forked child has it, too.
inline std::atomic<std::uintptr_t> first_stack{0};

inline void note_first_stack() noexcept {
  std::uintptr_t none = 0;
  const auto here = reinterpret_cast<std::uintptr_t>(&none);
  first_stack.compare_exchange_strong(none, here, std::memory_order_relaxed);
}

/// How many stacks lie between the first thread's and this one's: a number that differs between threads, and is 0 in a
/// process that has only one. It is a hint.
/// @param here  an address on the stack of this thread.
[[nodiscard]] inline std::uint32_t stacks_away(const void* here) noexcept {
  constexpr unsigned kStack = 23;  // 8 MB, which is the usual size
  constexpr std::uintptr_t kHalf = std::uintptr_t{1} << (kStack - 1);
  const std::uintptr_t away =
      reinterpret_cast<std::uintptr_t>(here) - first_stack.load(std::memory_order_relaxed) + kHalf;
  return static_cast<std::uint32_t>(away >> kStack);
}

}  // namespace weir::detail::this_thread
