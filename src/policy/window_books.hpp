// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a window over all callers counts, apart from how it keeps it: so that a window of another kind or
// length, or with more cells, can go on with it.

#include <cstdint>
#include <vector>

#include "policy/blocks.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"

namespace weir::detail {

class WindowBooks {
 public:
  WindowBooks() = default;

  /// What still counts. Of a count whose admissions' times are not kept, the latest that they can be.
  [[nodiscard]] static WindowBooks of(const SharedWindow& window, std::uint64_t now);

  /// What is counted here and was not there.
  [[nodiscard]] WindowBooks without(const WindowBooks& known) const;

  /// How many admissions count.
  [[nodiscard]] std::uint64_t total() const noexcept;

  /// Counts all of it in another window, oldest first, above its limit too; of a log as far as it has cells.
  void charge_to(SharedWindow window) const noexcept;

 private:
  struct Entry {
    std::uint64_t key;   ///< the same of the same admissions at every look
    std::uint64_t time;  ///< ticks, under which they are counted
    std::uint32_t count;
  };
  std::vector<Entry> entries_;  // by key, which is the order of time
};

[[nodiscard]] constexpr bool is_shared_window(std::uint32_t index) noexcept {
  return kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::shared;
}

/// The window over all callers that a record keeps.
[[nodiscard]] inline SharedWindow window_of(const Sections& sections, LimitRecord& record) {
  return {record, sections.window_cells, sections.created_wall_ns};
}

/// Empties the books of a record that no process decides over.
void clear_books(const Sections& sections, LimitRecord& record);

}  // namespace weir::detail
