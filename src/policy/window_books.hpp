// SPDX-License-Identifier: Apache-2.0
#pragma once

// The books of a window over all callers: what it counts, in a form that does not depend on how it is kept. So a
// window of another kind or length, or with more cells, can take over the counts.

#include <cstdint>
#include <vector>

#include "policy/blocks.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"

namespace weir::detail {

class WindowBooks {
 public:
  WindowBooks() = default;

  /// Reads what still counts. Where single times are not kept, the latest possible time is taken.
  [[nodiscard]] static WindowBooks of(const SharedWindow& window, std::uint64_t now);

  /// What these books count and `known` does not.
  [[nodiscard]] WindowBooks without(const WindowBooks& known) const;

  /// The sum of all counts.
  [[nodiscard]] std::uint64_t total() const noexcept;

  /// Charges all counts to another window, oldest first and beyond its limit. A log takes as many as it has cells.
  void charge_to(SharedWindow window) const noexcept;

 private:
  struct Entry {
    std::uint64_t key;   ///< the same for the same admissions whenever the window is read
    std::uint64_t time;  ///< ticks at which they are counted
    std::uint32_t count;
  };
  std::vector<Entry> entries_;  // sorted by key, which is the order of time
};

[[nodiscard]] constexpr bool is_shared_window(std::uint32_t index) noexcept {
  return kind_of(index) == LimitKind::window && scope_of(index) == LimitScope::shared;
}

/// The window over all callers that is kept in a record.
[[nodiscard]] inline SharedWindow window_of(const Sections& sections, LimitRecord& record) {
  return {record, sections.window_cells, sections.created_wall_ns};
}

/// Empties the counts of a record under which no process decides.
void clear_books(const Sections& sections, LimitRecord& record);

}  // namespace weir::detail
