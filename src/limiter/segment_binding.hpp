// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a limiter lives: on a segment, and what it does while there is none to use.
//
// Without a usable segment, and with a policy that does not fail closed, it decides over a private one: with
// no limits at all (`admit`), or with this process's share of them (`local`). Once a second the next call
// looks whether the segment is back, or was replaced under its name, and moves there. remove_segment() leaves
// word of itself in the segment, and then every call looks until there is another one: the first call after
// that was made goes there. Whatever was admitted
// by the old one is given back to the old one: that stays until the limiter goes. A call finds out before it
// decides, so the first call after a pause already goes to the new segment.
//
// Fork    at any moment, also while another thread looks: a child reads atomic words, and lists that only
//         grow at their heads. The word that says which process looks names the parent, so the child may.
// User    a process that became another user than the one that opened attaches to a new segment, and makes
//         none: the others would refuse it.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <sys/types.h>

#include "weir/error.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"
#include "limiter/growing_list.hpp"
#include "limiter/last_fault.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

class LimiterImpl;

class SegmentBinding {
 public:
  /// Over a segment as it is; no other is ever looked for.
  [[nodiscard]] static Result<std::unique_ptr<SegmentBinding>> over(Result<Segment> segment);

  /// Over the segment that a configuration names, made if it is not there; else as `on_fault` says.
  [[nodiscard]] static Result<std::unique_ptr<SegmentBinding>> open(const Config& config);

  SegmentBinding(const SegmentBinding&) = delete;
  SegmentBinding& operator=(const SegmentBinding&) = delete;
  ~SegmentBinding();

  [[nodiscard]] LimiterImpl& impl() const noexcept { return *current_.load(std::memory_order_acquire); }

  /// Whether the configuration that it was opened with has an operation, whatever the segment has.
  [[nodiscard]] bool configured(std::string_view operation) const {
    return config_ && config_->operations.contains(operation);
  }

  /// What decides now, after looking for another segment if that is due.
  [[nodiscard]] LimiterImpl& settled() noexcept;

  /// Why there is no segment to use, or why this process cannot hold permits in it; else nothing.
  [[nodiscard]] std::optional<Error> fault() const;

  /// Moves to the segment of our name if that is another one than `seen` decides over.
  /// Cost  one system call, or some more where there is something to move to.
  void look_again(LimiterImpl& seen) noexcept;

 private:
  explicit SegmentBinding(std::unique_ptr<LimiterImpl> first);
  void move_to(std::unique_ptr<LimiterImpl> next);
  void stay_without(const Error& error, std::string_view what_holds);

  std::optional<Config> config_;  // of open(); nothing: never moves
  uid_t opened_by_ = 0;
  std::atomic<LimiterImpl*> current_{nullptr};
  GrowingList<std::unique_ptr<LimiterImpl>> all_;  // of which one is current
  LastFault fault_;                                // why there is no segment to use
  std::atomic<std::uint64_t> looking_{0};  // the tag of the process one of whose threads looks; try only
};

}  // namespace weir::detail
