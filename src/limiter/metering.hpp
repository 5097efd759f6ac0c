// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counting what becomes of requests: from a thread to the cell that it counts in.
//
// A thread counts in a lane of its own (primitives/lane.hpp), in the cell of the operation (primitives/metric_cell.hpp).
// It remembers its lane in thread-local memory; the usual path is two comparisons, one load of the cell's address, and
// plain stores. What a thread meets for the first time goes a slower way: a lane is claimed, and memory is taken for the
// cell, with one system call for each pair of lane and operation. A thread that can get no lane counts in the shared one,
// by atomic additions. Where there is no memory, the request is only counted as not recorded, and the log says so once.
// Either is tried again after 10,000 calls, so that the others neither look at all lanes nor ask the kernel.
//
// Threads  which thread of this process has which lane is private: `busy` in a HeldLane. A thread that ends leaves its
//          lane to the next one.
// Fork     a child has another identity, so it does not count in the lanes of its parent, and takes none of them for
//          its own.
// User     a request that is refused writes here too, but nothing that any process reads in order to decide.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "weir/decision.hpp"

#include "limiter/context.hpp"
#include "limiter/held.hpp"
#include "policy/schema.hpp"
#include "primitives/metric_cell.hpp"
#include "segment/mapping.hpp"
#include "workers/registry.hpp"

namespace weir::detail {

/// A lane that this process has claimed, and the cells of it that have memory.
struct HeldLane {
  std::atomic<std::uint64_t> busy{0};  ///< the identity under which a thread uses it; another one: it is idle
  std::array<std::atomic<MetricCell*>, Lane::kMostColumns> cells{};
};

/// The lanes of a process in one segment: one entry for each lane, nullptr until it is claimed. Threads that outlive the
/// limiter hold it, too.
struct LaneShelf {
  explicit LaneShelf(std::size_t lanes) : held(lanes) {}
  ~LaneShelf();
  LaneShelf(const LaneShelf&) = delete;
  LaneShelf& operator=(const LaneShelf&) = delete;

  std::vector<std::atomic<HeldLane*>> held;
};

/// What a thread remembers of the lane that it used last.
struct ThreadLane {
  std::uint64_t metering;  ///< Metering::id_; 0: none
  std::uint64_t identity;  ///< under which it was claimed
  HeldLane* lane;
};
// In the block of thread-local memory that every thread has from its beginning, so that reading it takes no call.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local ThreadLane this_thread_lane;

class Metering {
 public:
  /// `segment`, `sections` and `registry` outlive it.
  Metering(const Segment& segment, const Sections& sections, const Registry& registry);

  /// Counts an admission, and notes in it what its end needs.
  [[gnu::always_inline]] void admitted(const Context& context, Holding& holding) noexcept {
    holding.operation = name_of(*context.plan);
    if (!is_on()) return;
    holding.timed = times_ && context.later != nullptr;
    MetricCell* const cell = own_cell(column_of(*context.plan), of(*context.plan));
    if (cell == nullptr) [[unlikely]]
      return admitted_otherwise(context);
    MetricWriter<true>(*cell).admitted(context.now);
  }
  /// Counts a refusal that is the last word on a request.
  [[gnu::always_inline]] void refused(const Context& context, const Decision& decision) noexcept {
    if (!is_on()) return;
    MetricCell* const cell = own_cell(column_of(*context.plan), of(*context.plan));
    if (cell == nullptr) [[unlikely]]
      return refused_otherwise(context, decision);
    MetricWriter<true>(*cell).refused(decision.verdict, line_of(decision.limit), context.now);
  }
  /// Counts the end of an admission of this process.
  template <class Clock>
  [[gnu::always_inline]] void ended(const Holding& holding, Outcome outcome, const Clock& clock) noexcept {
    MetricCell* const cell = own_cell(column_of(holding), of(holding));
    if (cell == nullptr) [[unlikely]]
      return ended_otherwise(holding, outcome, holding.timed ? clock() : 0);
    MetricWriter<true> writer(*cell);
    writer.ended(outcome);
    if (!holding.timed) return;
    const std::uint64_t now = clock();
    writer.took(now > holding.admitted_at ? now - holding.admitted_at : 0, now);
  }
  /// Counts a wait, which ended as the answer says.
  void waited(const Plan& plan, bool admitted, std::uint64_t ticks) noexcept;

  [[nodiscard]] bool is_on() const noexcept { return columns_ != 0; }

  /// Where a limit stands in MetricCell::refused_by: the global ones first; those of a user's override as those of the
  /// operation. MetricCell::kLines: nowhere.
  [[nodiscard]] static std::uint32_t line_of(LimitId limit) noexcept {
    if (limit == LimitId::none) return MetricCell::kLines;
    const LimitRef ref = LimitRef::of(limit);
    return ref.index + (ref.block == kGlobalBlock ? 0 : kBlockLimits);
  }

 private:
  struct Place {
    MetricCell* cell = nullptr;
    bool alone = false;
  };

  /// The cell of an operation, if this thread has used it; else nullptr.
  [[nodiscard]] MetricCell* own_cell(std::uint32_t column, std::uint64_t of) const noexcept {
    const ThreadLane& mine = this_thread_lane;
    if (mine.metering != id_ || mine.identity != registry_.joined()) [[unlikely]]
      return nullptr;
    MetricCell* const cell = mine.lane->cells[column].load(std::memory_order_relaxed);
    return cell != nullptr && cell->of.load(std::memory_order_relaxed) == of ? cell : nullptr;
  }
  // An operation in an admission is {tenancy 8 | column 8}; that of a block has 8 bits, as in a handle.
  [[nodiscard]] static std::uint32_t column_of(const Plan& plan) noexcept {
    return plan.block - kFirstOperation;
  }
  [[nodiscard]] static std::uint64_t of(const Plan& plan) noexcept { return std::uint64_t{plan.tenancy} + 1; }
  [[nodiscard]] static std::uint16_t name_of(const Plan& plan) noexcept {
    return static_cast<std::uint16_t>(plan.tenancy << 8 | column_of(plan));
  }
  [[nodiscard]] static std::uint32_t column_of(const Holding& holding) noexcept {
    return operation_index(holding);
  }
  [[nodiscard]] static std::uint64_t of(const Holding& holding) noexcept {
    return std::uint64_t{holding.operation} / kMaxOperations + 1;
  }

  // What is rare.
  [[gnu::noinline]] void admitted_otherwise(const Context& context) noexcept;
  [[gnu::noinline]] void refused_otherwise(const Context& context, const Decision& decision) noexcept;
  [[gnu::noinline]] void ended_otherwise(const Holding& holding, Outcome outcome, std::uint64_t now) noexcept;

  /// The cell in which this thread counts, with memory; none if there is none.
  [[nodiscard]] Place place(std::uint32_t column, std::uint64_t of) noexcept;
  [[nodiscard]] Place place(const Plan& plan) noexcept;
  /// The lane of this thread, claimed if need be; nullptr: the shared one.
  [[nodiscard]] HeldLane* lane_of_this_thread(std::uint32_t& index) noexcept;
  [[nodiscard]] HeldLane* claim_lane(std::uint64_t identity, std::uint32_t& index);
  [[nodiscard]] HeldLane& held(std::uint32_t index);
  [[nodiscard]] MetricCell* take_cell(std::uint32_t lane, std::uint32_t column) noexcept;
  void not_recorded() noexcept;

  const Segment& segment_;
  const Sections& sections_;
  const Registry& registry_;
  std::uint64_t id_;
  std::uint32_t columns_;
  bool times_;
  std::shared_ptr<LaneShelf> shelf_;
  std::atomic<bool> said_no_memory_{false};
  std::atomic<std::uint32_t> calls_without_memory_{0};  ///< until one asks the kernel for memory again
};

}  // namespace weir::detail
