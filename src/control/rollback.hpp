// SPDX-License-Identifier: Apache-2.0
#pragma once

// Takes changes back, one generation after another, newest first.

#include <cstdint>
#include <vector>

#include "weir/policy.hpp"

#include "base/result.hpp"
#include "control/history.hpp"
#include "control/switches.hpp"

namespace weir::detail {

class Rollback {
 public:
  /// @param history  newest first.
  Rollback(Config config, std::vector<RecordedChange> history)
      : config_(std::move(config)), history_(std::move(history)) {}

  /// The newest generation that is not a rollback and has not been taken back; 0: none.
  [[nodiscard]] std::uint64_t last() const;
  /// Says why last() finds none.
  [[nodiscard]] Error nothing_left(std::string_view segment) const;

  /// A reset is passed over.
  /// Errors  Errc::not_in_segment: the history does not hold all changes of that generation.
  [[nodiscard]] Result<void> take_back(std::uint64_t generation);

  /// The configuration before the generations that were taken back.
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const Switches& switches() const { return switches_; }
  /// The resets from a generation on.
  [[nodiscard]] std::vector<std::uint64_t> resets_since(std::uint64_t generation) const;

 private:
  Config config_;
  Switches switches_;
  std::vector<RecordedChange> history_;
};

}  // namespace weir::detail
