// SPDX-License-Identifier: Apache-2.0
#include "base/process_tag.hpp"

#include <atomic>
#include <new>

#include "weir/clock.hpp"

#include "base/wiped_memory.hpp"

namespace weir::detail {
namespace {

using Tag = std::atomic<std::uint64_t>;

constinit Tag g_never_wiped{0};
constinit std::atomic<Tag*> g_tag{nullptr};

Tag* map_wiped_word() noexcept {
  void* const memory = map_wiped(sizeof(Tag));
  return memory != nullptr ? new (memory) Tag{0} : &g_never_wiped;
}

// Returns the word that the kernel sets to zero in a child. If several threads map one, the first wins.
Tag& tag_word() noexcept {
  Tag* word = g_tag.load(std::memory_order_acquire);
  if (word != nullptr) return *word;
  Tag* const mapped = map_wiped_word();
  if (g_tag.compare_exchange_strong(word, mapped, std::memory_order_acq_rel)) return *mapped;
  if (mapped != &g_never_wiped) unmap_wiped(mapped, sizeof(Tag));
  return *word;
}

}  // namespace

std::uint64_t process_tag() noexcept {
  Tag& word = tag_word();
  std::uint64_t tag = word.load(std::memory_order_relaxed);
  if (tag != 0) return tag;
  // A child takes its tag later than any of its ancestors took theirs, so the time tells them apart.
  const auto mine = static_cast<std::uint64_t>(HostClock::now().time_since_epoch().count()) | 1;
  return word.compare_exchange_strong(tag, mine, std::memory_order_relaxed) ? mine : tag;
}

}  // namespace weir::detail
