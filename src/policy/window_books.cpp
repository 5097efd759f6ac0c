// SPDX-License-Identifier: Apache-2.0
#include "policy/window_books.hpp"

#include <algorithm>

namespace weir::detail {

WindowBooks WindowBooks::of(const SharedWindow& window, std::uint64_t now) {
  std::vector<Entry> seen;
  window.for_each_count(now, [&](std::uint64_t key, std::uint64_t time, std::uint32_t count) {
    if (count != 0) seen.push_back({key, std::min(time, now), count});
  });
  std::sort(seen.begin(), seen.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
  WindowBooks books;
  for (const Entry& entry : seen) {  // entries of the same key become one
    const bool same = !books.entries_.empty() && books.entries_.back().key == entry.key;
    if (same) {
      books.entries_.back().count += entry.count;
    } else {
      books.entries_.push_back(entry);
    }
  }
  return books;
}

WindowBooks WindowBooks::without(const WindowBooks& known) const {
  const std::vector<Entry>& before = known.entries_;
  WindowBooks added;
  for (Entry entry : entries_) {
    const auto at = std::lower_bound(before.begin(), before.end(), entry.key,
                                     [](const Entry& a, std::uint64_t key) { return a.key < key; });
    if (at != before.end() && at->key == entry.key) entry.count -= std::min(entry.count, at->count);
    if (entry.count != 0) added.entries_.push_back(entry);
  }
  return added;
}

std::uint64_t WindowBooks::total() const noexcept {
  std::uint64_t total = 0;
  for (const Entry& entry : entries_) total += entry.count;
  return total;
}

void WindowBooks::charge_to(SharedWindow window) const noexcept {
  for (const Entry& entry : entries_) window.charge_all(entry.time, entry.count);
}

void clear_books(const Sections& sections, LimitRecord& record) {
  record.state.store(0, std::memory_order_relaxed);
  const CellRange cells = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
  for (Word& cell : cells.in(sections.window_cells)) cell.store(0, std::memory_order_relaxed);
}

}  // namespace weir::detail
