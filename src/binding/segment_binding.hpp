// SPDX-License-Identifier: Apache-2.0
#pragma once

// The tie of a limiter to its segment: which LimiterImpl decides now, and what happens while there is no segment.
//
// Without a usable segment, and with a policy that does not fail closed, a limiter decides over a stand-in
// (stand_in.hpp). When a call finds that it is time to look (SegmentWatch), it looks before it decides: if the
// segment is back, or another one has its name, the limiter moves there. So the first call after a pause, or after
// the new segment was made, already goes there. What was admitted by the old segment is given back to the old
// segment, which therefore stays until the limiter goes.
//
// A binding knows its LimiterImpls, and none of them knows the binding: admit() of one says that it is time to look,
// and this file looks.
//
// Fork    at any moment, also while another thread looks: a child reads atomic words, and a list that only
//         grows at its head. The word that says which process looks names the parent, so the child may look.
// User    a process that became another user than the one that opened attaches to a new segment, but makes
//         none: the others would refuse it.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <sys/types.h>
#include <type_traits>

#include "weir/error.hpp"
#include "weir/policy.hpp"

#include "base/result.hpp"
#include "limiter/growing_list.hpp"
#include "limiter/impl.hpp"
#include "limiter/last_fault.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

class SegmentBinding {
 public:
  /// Over a segment as it is; no other is ever looked for.
  [[nodiscard]] static Result<std::unique_ptr<SegmentBinding>> over(Result<Segment> segment);

  /// Over the segment that a configuration names, made if it is not there; else as `on_fault` says.
  [[nodiscard]] static Result<std::unique_ptr<SegmentBinding>> open(const Config& config);

  SegmentBinding(const SegmentBinding&) = delete;
  SegmentBinding& operator=(const SegmentBinding&) = delete;
  ~SegmentBinding();

  template <class Time>
  [[gnu::always_inline]] Admission admit(Operation operation, const Request& request, Time time) noexcept {
    Admission admission{Decision{}};  // filled in where the caller will have it, unless it stays "admitted"
    LimiterImpl& current = impl();
    if (!current.admit(admission, operation, request, time)) [[unlikely]] {
      look_again(current);
      impl().admit_without_look(admission, operation, request, time);
    }
    // At a moment that the caller chose, no time passes.
    if constexpr (std::is_same_v<Time, TimePasses>) {
      if (!admission && request.wait.count() > 0) [[unlikely]]
        wait(admission, operation, request);
    }
    return admission;
  }

  /// What decides, as far as it is known.
  [[nodiscard]] LimiterImpl& impl() const noexcept { return *current_.load(std::memory_order_acquire); }

  /// Whether the configuration that it was opened with has an operation, whatever the segment has.
  [[nodiscard]] bool configured(std::string_view operation) const {
    return config_ && config_->operations.contains(operation);
  }

  /// What decides now, after looking for another segment if that is due.
  [[nodiscard]] LimiterImpl& settled() noexcept;

  /// Why there is no segment to use, or why this process cannot hold permits in it; else nothing.
  [[nodiscard]] std::optional<Error> fault() const;

 private:
  explicit SegmentBinding(std::unique_ptr<LimiterImpl> first);
  /// Goes on for a request that was refused and may wait.
  [[gnu::noinline]] void wait(Admission& admission, Operation operation, const Request& request) noexcept;
  /// Moves to the segment of our name if that is another one than `seen` decides over.
  /// Cost  one system call, or some more where there is something to move to.
  [[gnu::noinline]] void look_again(LimiterImpl& seen) noexcept;
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
