#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

namespace weir::detail {

/// A short list on the stack that costs nothing until something is in it. Never more than N are pushed.
template <class T, std::size_t N>
class StepList {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  StepList() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the bytes alone
  StepList(const StepList&) = delete;
  StepList& operator=(const StepList&) = delete;

  /// Made where it stays: a copy would wait for the stores that made the original.
  template <class... Args>
  [[gnu::always_inline]] T& emplace(Args&&... args) noexcept {
    return *::new (static_cast<void*>(end_++)) T(std::forward<Args>(args)...);
  }
  [[nodiscard]] T* begin() noexcept { return reinterpret_cast<T*>(bytes_); }
  [[nodiscard]] T* end() noexcept { return end_; }

 private:
  alignas(T) std::byte bytes_[N * sizeof(T)];  // NOLINT(modernize-avoid-c-arrays)
  T* end_ = begin();
};

}  // namespace weir::detail
