#pragma once

// What a window over all callers counts, apart from how it keeps it: so that a window of another kind or
// length, or with more cells, can go on with it.

#include <cstdint>
#include <vector>

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

}  // namespace weir::detail
