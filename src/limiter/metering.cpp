// SPDX-License-Identifier: Apache-2.0
#include "limiter/metering.hpp"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <span>

#include "weir/log.hpp"

namespace weir::detail {

constinit thread_local ThreadLane this_thread_lane{0, 0, nullptr};

namespace {

/// The lanes that this thread has used, in all segments. They are idle when it ends.
class LanesOfThread {
 public:
  LanesOfThread() = default;
  LanesOfThread(const LanesOfThread&) = delete;
  LanesOfThread& operator=(const LanesOfThread&) = delete;
  ~LanesOfThread() {
    this_thread_lane = {0, 0, nullptr};
    ended = true;
    for (const Used& one : used_) {
      // A thread that a fork left behind has lanes of its parent: the identity differs, and nothing is changed.
      if (const auto shelf = one.shelf.lock()) {
        std::uint64_t identity = one.lane.identity;
        one.lane.lane->busy.compare_exchange_strong(identity, 0, std::memory_order_release);
      }
    }
  }

  /// @return the lane of this thread in a segment, under an identity; nullptr: none.
  [[nodiscard]] const ThreadLane* find(std::uint64_t metering, std::uint64_t identity,
                                       std::uint32_t& index) const noexcept {
    for (const Used& one : used_) {
      if (one.lane.metering != metering || one.lane.identity != identity) continue;
      index = one.index;
      return &one.lane;
    }
    return nullptr;
  }
  void add(const std::shared_ptr<LaneShelf>& shelf, const ThreadLane& lane, std::uint32_t index) {
    // What a limiter that has gone, or an earlier identity, has left.
    std::erase_if(used_, [&](const Used& one) {
      return one.shelf.expired() ||
             (one.lane.metering == lane.metering && one.lane.identity != lane.identity);
    });
    used_.push_back({shelf, lane, index});
  }

  static constinit thread_local bool ended;

 private:
  struct Used {
    std::weak_ptr<LaneShelf> shelf;
    ThreadLane lane;
    std::uint32_t index;
  };
  std::vector<Used> used_;
};
constinit thread_local bool LanesOfThread::ended = false;

LanesOfThread& lanes_of_this_thread() {
  static thread_local LanesOfThread lanes;
  return lanes;
}

/// The last time that this thread got no lane: until it tries again, its calls do not look at all lanes.
struct NoLane {
  std::uint64_t metering;
  std::uint64_t identity;
  std::uint32_t calls;  ///< until it tries again
};
constinit thread_local NoLane no_lane{0, 0, 0};
constexpr std::uint32_t kCallsUntilNextTry = 10'000;

std::uint64_t next_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

constexpr std::uint32_t kSharedLane = 0;

}  // namespace

LaneShelf::~LaneShelf() {
  for (const std::atomic<HeldLane*>& lane : held) delete lane.load(std::memory_order_relaxed);
}

Metering::Metering(const Segment& segment, const Sections& sections, const Registry& registry)
    : segment_(segment),
      sections_(sections),
      registry_(registry),
      id_(next_id()),
      columns_(sections.metric_columns()),
      times_(static_cast<Metrics>(sections.settings.metrics) == Metrics::times),
      shelf_(std::make_shared<LaneShelf>(sections.lanes.size())) {}

void Metering::admitted_otherwise(const Context& context) noexcept {
  const Place at = place(*context.plan);
  if (at.cell == nullptr) return;
  if (at.alone) return MetricWriter<true>(*at.cell).admitted(context.now);
  MetricWriter<false>(*at.cell).admitted(context.now);
}

void Metering::refused_otherwise(const Context& context, const Decision& decision) noexcept {
  const Place at = place(*context.plan);
  if (at.cell == nullptr) return;
  const std::uint32_t line = line_of(decision.limit);
  if (at.alone) return MetricWriter<true>(*at.cell).refused(decision.verdict, line, context.now);
  MetricWriter<false>(*at.cell).refused(decision.verdict, line, context.now);
}

void Metering::ended_otherwise(const Holding& holding, Outcome outcome, std::uint64_t now) noexcept {
  const Place at = place(column_of(holding), of(holding));
  if (at.cell == nullptr) return;
  const auto count = [&](auto writer) {
    writer.ended(outcome);
    if (holding.timed) writer.took(now > holding.admitted_at ? now - holding.admitted_at : 0, now);
  };
  if (at.alone) return count(MetricWriter<true>(*at.cell));
  count(MetricWriter<false>(*at.cell));
}

void Metering::waited(const Plan& plan, bool admitted, std::uint64_t ticks) noexcept {
  const Place at = place(plan);
  if (at.cell == nullptr) return;
  if (at.alone) return MetricWriter<true>(*at.cell).waited(admitted, ticks);
  MetricWriter<false>(*at.cell).waited(admitted, ticks);
}

Metering::Place Metering::place(const Plan& plan) noexcept {
  return plan.retired ? Place{} : place(column_of(plan), of(plan));
}

Metering::Place Metering::place(std::uint32_t column, std::uint64_t of) noexcept {
  if (columns_ == 0) return {};
  if (column >= columns_) {
    not_recorded();
    return {};
  }
  std::uint32_t index = kSharedLane;
  HeldLane* lane = lane_of_this_thread(index);
  const bool alone = lane != nullptr;
  try {
    if (lane == nullptr) lane = &held(index);
  } catch (const std::exception&) {  // out of memory
    return {};
  }
  MetricCell* cell = lane->cells[column].load(std::memory_order_relaxed);
  if (cell == nullptr) {
    cell = take_cell(index, column);
    if (cell == nullptr) {
      not_recorded();
      return {};
    }
    if (alone) adopt(*cell, registry_.joined());
    lane->cells[column].store(cell, std::memory_order_relaxed);
  }
  // A call may end, or a thread that was stopped go on, when the block does not mean its operation any more.
  const std::uint64_t now = cell->of.load(std::memory_order_relaxed);
  if (now > of) return {};
  if (now < of) begin_as(*cell, of);
  return {cell, alone};
}

HeldLane* Metering::lane_of_this_thread(std::uint32_t& index) noexcept {
  const std::uint64_t identity = registry_.joined();
  if (identity == 0 || LanesOfThread::ended) return nullptr;
  try {
    LanesOfThread& all = lanes_of_this_thread();
    if (const ThreadLane* const known = all.find(id_, identity, index); known != nullptr) {
      this_thread_lane = *known;
      return known->lane;
    }
    const bool got_none = no_lane.metering == id_ && no_lane.identity == identity;
    if (got_none && no_lane.calls > 0) {
      --no_lane.calls;
      return nullptr;
    }
    HeldLane* const lane = claim_lane(identity, index);
    if (lane == nullptr) {
      no_lane = {id_, identity, kCallsUntilNextTry};
      return nullptr;
    }
    all.add(shelf_, {id_, identity, lane}, index);
    this_thread_lane = {id_, identity, lane};
    return lane;
  } catch (const std::exception&) {  // out of memory: the next call tries again
    return nullptr;
  }
}

HeldLane* Metering::claim_lane(std::uint64_t identity, std::uint32_t& index) {
  const auto end = static_cast<std::uint32_t>(sections_.lanes.size());
  for (std::uint32_t i = kSharedLane + 1; i < end; ++i) {
    Lane& lane = sections_.lanes[i];
    const bool ours = lane.owner.load(std::memory_order_relaxed) == identity;
    if (!ours && !claim(lane, identity, [&](std::uint64_t owner) { return registry_.is_over(owner); }))
      continue;
    HeldLane& mine = held(i);
    if (!ours) {
      // It may have been that of an earlier identity of this process, and its cells are then to be adopted again.
      for (auto& cell : mine.cells) cell.store(nullptr, std::memory_order_relaxed);
    }
    std::uint64_t busy = mine.busy.load(std::memory_order_relaxed);
    // sync(busy): acquire and release; what the thread before has counted comes first.
    if (busy == identity || !mine.busy.compare_exchange_strong(busy, identity, std::memory_order_acquire))
      continue;
    index = i;
    return &mine;
  }
  return nullptr;
}

HeldLane& Metering::held(std::uint32_t index) {
  std::atomic<HeldLane*>& place = shelf_->held[index];
  HeldLane* seen = place.load(std::memory_order_acquire);
  if (seen != nullptr) return *seen;
  auto made = std::make_unique<HeldLane>();
  if (place.compare_exchange_strong(seen, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *seen;
}

MetricCell* Metering::take_cell(std::uint32_t lane, std::uint32_t column) noexcept {
  // Where there is no memory, most calls do not ask the kernel again.
  std::uint32_t calls = calls_without_memory_.load(std::memory_order_relaxed);
  if (calls > 0) {
    calls_without_memory_.store(calls - 1, std::memory_order_relaxed);
    return nullptr;
  }
  MetricCell& cell = sections_.metric_cell(lane, column);
  if (!segment_.take_memory(std::as_writable_bytes(std::span(&cell, 1)))) {
    calls_without_memory_.store(kCallsUntilNextTry, std::memory_order_relaxed);
    return nullptr;
  }
  sections_.lanes[lane].set_used(column);
  return &cell;
}

void Metering::not_recorded() noexcept {
  (void)sections_.lanes[kSharedLane].unrecorded.fetch_add(1, std::memory_order_relaxed);
  if (said_no_memory_.exchange(true, std::memory_order_relaxed)) return;
  try {
    log(fmt::format(
        "segment \"{}\": some requests are decided, but not counted: there is no memory for it in "
        "/dev/shm, or the segment was made for fewer operations",
        segment_.name()));
  } catch (const std::exception&) {  // out of memory, again
  }
}

}  // namespace weir::detail
