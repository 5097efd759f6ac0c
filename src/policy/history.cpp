// SPDX-License-Identifier: Apache-2.0
#include "policy/history.hpp"

#include <algorithm>
#include <cstring>

namespace weir::detail {

template <std::size_t kWords>
void TextWords<kWords>::store(std::string_view text) noexcept {
  std::array<char, kWords * sizeof(std::uint64_t)> bytes{};
  std::copy_n(text.data(), std::min(text.size(), bytes.size()), bytes.begin());
  for (std::size_t i = 0; i < kWords; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i * sizeof(word), sizeof(word));
    words[i].store(word, std::memory_order_release);  // sync(record)
  }
}

template <std::size_t kWords>
std::string TextWords<kWords>::load() const {
  std::array<char, kWords * sizeof(std::uint64_t)> bytes{};
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint64_t word = words[i].load(std::memory_order_acquire);  // sync(record)
    std::memcpy(bytes.data() + i * sizeof(word), &word, sizeof(word));
  }
  return {bytes.data(),
          static_cast<std::size_t>(std::find(bytes.begin(), bytes.end(), '\0') - bytes.begin())};
}

template struct TextWords<4>;
template struct TextWords<32>;
template struct TextWords<64>;

}  // namespace weir::detail
