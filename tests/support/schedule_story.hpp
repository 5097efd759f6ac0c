// SPDX-License-Identifier: Apache-2.0
#pragma once

// The steps of one execution, and how they are printed.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/word.hpp"
#include "support/schedule.hpp"

namespace weir::test {

/// One step: an access, or a kill before the access that would have been next.
struct Step {
  ProcessId process{};
  bool killed = false;
  detail::Access access{};
  const std::byte* word = nullptr;  ///< null: the process has ended
  std::size_t size = 0;
  detail::Pair before{};  ///< the value that the access met
  detail::Pair after{};   ///< and the value that it left
  bool done = true;       ///< false: a compare-exchange that did not take place

  friend bool operator==(const Step&, const Step&) = default;
};

/// Prints steps with the names that the program gave its processes and words.
class Story {
 public:
  explicit Story(const Program& program) : program_(program) {}

  [[nodiscard]] std::string tell(std::span<const Step> steps) const;

 private:
  [[nodiscard]] std::string line(const Step& step) const;
  [[nodiscard]] std::string name_of(const std::byte* word) const;

  const Program& program_;
};

}  // namespace weir::test
