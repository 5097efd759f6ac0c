#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

  /// Made where it stays: a copy would wait for the stores that made the original.
  template <class... Args>
  T& emplace(Args&&... args) noexcept {
    return *std::construct_at(at(size_++), std::forward<Args>(args)...);
  }
  [[nodiscard]] T* begin() noexcept { return at(0); }
  [[nodiscard]] T* end() noexcept { return at(size_); }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

 private:
  [[nodiscard]] T* at(std::size_t i) noexcept { return reinterpret_cast<T*>(bytes_) + i; }

  alignas(T) std::byte bytes_[N * sizeof(T)];  // NOLINT(modernize-avoid-c-arrays)
  std::uint32_t size_ = 0;
};

}  // namespace weir::detail
