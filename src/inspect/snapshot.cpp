// SPDX-License-Identifier: Apache-2.0
#include "inspect/snapshot.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "weir/clock.hpp"

#include "base/result.hpp"
#include "inspect/breaker_state.hpp"
#include "inspect/header_text.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"
#include "policy/stored_config.hpp"
#include "policy/user_rule.hpp"
#include "primitives/lease.hpp"
#include "primitives/metric_sums.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"
#include "primitives/seat.hpp"
#include "workers/registry.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers

class SnapshotReader {
 public:
  SnapshotReader(const Segment& segment, const SectionsView& sections)
      : segment_(segment), sections_(sections), now_(ticks_at(segment.header(), HostClock::now())) {}

  Snapshot read() const {
    const Header& header = segment_.header();
    Snapshot snapshot;
    snapshot.segment = segment_.name();
    snapshot.library_version = header.library_version.data();
    snapshot.layout_version = header.layout_version;
    snapshot.uuid = uuid_text(header.uuid);
    snapshot.bytes = header.total_bytes;
    snapshot.created = creation_of(header);
    snapshot.taken = std::chrono::system_clock::now();
    snapshot.config = load_config(sections_, segment_.name());
    snapshot.generation = sections_.control->generation.load(std::memory_order_relaxed);
    read_difference(snapshot);
    read_workers(snapshot);
    const std::vector<std::uint64_t> refused = read_operations(snapshot);
    read_limits(snapshot, refused);
    read_queues(snapshot);
    read_counters(snapshot);
    return snapshot;
  }

 private:
  void read_difference(Snapshot& snapshot) const {
    const ChangeRecord& record = *sections_.difference;
    const std::uint64_t values = record.sequence.load(std::memory_order_acquire);  // sync(record)
    const std::uint64_t generation = record.generation.load(std::memory_order_acquire);
    if (values == 0 || generation != snapshot.generation) return;  // none, or limits have changed since
    const auto wall =
        std::chrono::nanoseconds(static_cast<std::int64_t>(record.wall_ns.load(std::memory_order_acquire)));
    DifferenceStatus seen{values,
                          record.key.load(),
                          record.from.load(),
                          record.to.load(),
                          record.program.load(),
                          static_cast<std::uint32_t>(record.who.load(std::memory_order_acquire)),
                          std::chrono::system_clock::time_point(
                              std::chrono::duration_cast<std::chrono::system_clock::duration>(wall))};
    if (record.sequence.load(std::memory_order_relaxed) == values) snapshot.difference = std::move(seen);
  }

  /// What the user table holds under one limit.
  struct Holders {
    std::uint64_t users = 0;
    std::uint64_t exhausted = 0;
    std::uint64_t in_use = 0;
  };

  /// Reads what was counted of each operation. @return how often each limit refused, by its LimitId.
  std::vector<std::uint64_t> read_operations(Snapshot& snapshot) const {
    std::vector<std::uint64_t> refused(kMaxBlocks * kBlockLimits + 1);
    std::vector<bool> dead(sections_.workers.size(), false);
    for (const WorkerStatus& worker : snapshot.workers) dead[worker.slot] = worker.dead;
    const WorkerView slots(sections_.workers, segment_);
    const auto is_over = [&](std::uint64_t tenant) {
      return slots.is_over(tenant) || dead[Owner::from_own_bits(static_cast<std::uint32_t>(tenant)).slot()];
    };
    for (std::uint32_t column = 0; column < sections_.operations(); ++column) {
      const Block& block = sections_.blocks[kFirstOperation + column];
      if (block.presence(std::memory_order_acquire).retired()) continue;
      const MetricSums sums = sums_of(column, is_over);
      snapshot.operations.push_back(
          operation(read_name(block.name), column < sections_.metric_columns(), sums));
      const auto add = [&](std::uint32_t block_index, std::uint32_t first_line) {
        for (std::uint32_t index = 0; index < kBlockLimits; ++index) {
          refused[static_cast<std::size_t>(LimitRef{block_index, index}.id())] +=
              sums.refused_by[first_line + index];
        }
      };
      add(kGlobalBlock, 0);
      add(kFirstOperation + column, kBlockLimits);
    }
    if (!sections_.lanes.empty())
      snapshot.unrecorded = sections_.lanes[0].unrecorded.load(std::memory_order_relaxed);
    return refused;
  }

  template <class IsOver>
  [[nodiscard]] MetricSums sums_of(std::uint32_t column, IsOver&& is_over) const {
    MetricSums sums;
    if (column >= sections_.metric_columns()) return sums;
    const std::uint64_t of =
        (sections_.blocks[kFirstOperation + column].tenancy.load(std::memory_order_acquire) & 0xff) + 1;
    for (std::uint32_t lane = 0; lane < sections_.lanes.size(); ++lane) {
      if (sections_.lanes[lane].is_used(column))
        sums.add(sections_.metric_cell(lane, column), of, now_, is_over);
    }
    return sums;
  }

  [[nodiscard]] OperationStatus operation(std::string name, bool counted, const MetricSums& sums) const {
    const auto ns = [](std::uint64_t ticks) { return std::chrono::nanoseconds(ns_from_ticks(ticks)); };
    const auto of = [&](Verdict verdict) { return sums.refused[static_cast<std::size_t>(verdict)]; };
    // A step of the histogram is shown as its middle, which may be longer than the longest call.
    const auto quantile = [&](double part) {
      return ns(std::min(response_times::quantile(sums.times, part), sums.peak));
    };
    OperationStatus status;
    status.name = std::move(name);
    status.counted = counted;
    status.admitted = sums.admitted;
    status.throttled = of(Verdict::throttled);
    status.blocked = of(Verdict::blocked);
    status.shed = of(Verdict::shed);
    status.circuit_open = of(Verdict::circuit_open);
    status.never = of(Verdict::never);
    status.succeeded = sums.succeeded;
    status.failed = sums.failed;
    status.ignored = sums.ignored;
    status.lost = sums.lost_calls();
    status.in_flight = sums.in_flight();
    status.waited = sums.waited;
    status.gave_up = sums.gave_up;
    status.wait_time = ns(sums.wait_time);
    status.timed = sums.timed;
    status.time = ns(sums.time);
    status.p50 = quantile(0.5);
    status.p90 = quantile(0.9);
    status.p99 = quantile(0.99);
    status.p999 = quantile(0.999);
    status.peak = ns(sums.peak);
    for (std::size_t i = 0; i < status.within.size(); ++i) {
      const auto bound = static_cast<std::uint64_t>(OperationStatus::kFirstBound.count()) << i;
      const std::uint32_t end =
          response_times::index(ticks_from_ns(bound));  // a bound of an octave is one of a counter
      for (std::uint32_t counter = 0; counter < end; ++counter) status.within[i] += sums.times[counter];
    }
    if (sums.last != 0) {
      const auto wall = std::chrono::nanoseconds(
          static_cast<std::int64_t>(sections_.created_wall_ns + ns_from_ticks(sums.last)));
      status.last_request = std::chrono::system_clock::time_point(
          std::chrono::duration_cast<std::chrono::system_clock::duration>(wall));
    }
    status.minute_admitted = sums.minute.admitted;
    status.minute_refused = sums.minute.refused;
    status.minute_succeeded = sums.minute.succeeded;
    status.minute_failed = sums.minute.failed;
    return status;
  }

  void read_limits(Snapshot& snapshot, const std::vector<std::uint64_t>& refused) const {
    const std::vector<Holders> holders = read_users(snapshot.table);
    const auto read_block = [&](std::uint32_t block_index) {
      const Presence presence = sections_.blocks[block_index].presence(std::memory_order_acquire);
      for (const std::uint32_t index : in_order(sections_.blocks[block_index], presence, ~masks::kQueues)) {
        const LimitRef ref{block_index, index};
        if (kind_of(index) != LimitKind::breaker) {
          snapshot.limits.push_back(limit(ref, holders[static_cast<std::size_t>(ref.id())]));
          snapshot.limits.back().refused = refused[static_cast<std::size_t>(ref.id())];
        } else if (block_index != kGlobalBlock) {
          snapshot.breakers.push_back(
              breaker(ref, mode_of(sections_.blocks[block_index], index) != Mode::enforced));
        }
      }
    };
    read_block(kGlobalBlock);
    for (std::uint32_t i = 0; i < sections_.operations(); ++i) read_block(kFirstOperation + i);
    for (std::uint32_t i = 0; i < sections_.overrides(); ++i) read_block(kFirstOverride + i);
  }

  [[nodiscard]] LimitStatus limit(LimitRef ref, const Holders& holders) const {
    const Block& block = sections_.blocks[ref.block];
    const LimitRecord& record = block.limits[ref.index];
    LimitStatus status;
    status.name = limit_name(sections_.blocks, ref);
    if (ref.block >= kFirstOperation && ref.block < kFirstOverride) status.operation = read_name(block.name);
    status.mode = mode_of(block, ref.index);
    status.per_user = scope_of(ref.index) == LimitScope::user;
    status.would_refuse = record.would_refuse.load(std::memory_order_relaxed);
    read_rule(status, ref);
    if (status.per_user) {
      status.used = holders.in_use;
      status.resets_in = {};
      status.users = holders.users;
      status.exhausted = holders.exhausted;
    }
    return status;
  }

  /// Reads the rule of a limit, and what it counts over all callers.
  void read_rule(LimitStatus& status, LimitRef ref) const {
    const Block& block = sections_.blocks[ref.block];
    const LimitRecord& record = block.limits[ref.index];
    const std::uint64_t params = record.params.load(std::memory_order_relaxed);
    const std::uint64_t state = record.state.load(std::memory_order_relaxed);
    const auto ns = [](std::uint64_t ticks) { return std::chrono::nanoseconds(ns_from_ticks(ticks)); };
    switch (kind_of(ref.index)) {
      case LimitKind::rate: {
        const TokenBucketParams bucket = packed::to_token_bucket(params);
        status.rule = rate_of(block, ref.index);
        status.capacity = bucket.burst;
        const std::uint64_t leased = status.per_user ? 0 : record.leased().load(std::memory_order_relaxed);
        const std::uint64_t judged = leased_word::judged(state, leased, lease_terms(record, bucket));
        status.used = bucket.burst - gcra::available(bucket, judged, now_);
        status.leased = leased_word::tokens(leased, now_);
        status.resets_in = ns(gcra::debt(bucket, judged, now_));
        break;
      }
      case LimitKind::window: {
        const packed::WindowParams window = packed::to_window(params);
        const std::chrono::milliseconds length(window.length_ms);
        status.rule = Window{window.limit, length, window.kind, status.mode};
        status.capacity = window.limit;
        if (status.per_user) break;  // entries of users have its counts
        const SharedWindowView shared(record, sections_.window_cells, sections_.created_wall_ns);
        status.used = window.limit - std::min(window.limit, shared.available(now_));
        status.resets_in = ns(shared.full_in(now_));
        break;
      }
      case LimitKind::permits: {
        const auto limit = static_cast<std::uint32_t>(params);
        const CellRange cells = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
        status.rule = Concurrency(limit);
        status.capacity = limit;
        if (!status.per_user) status.used = PermitsView(cells.in(sections_.permit_cells)).in_use();
        break;
      }
      case LimitKind::cooldown: {
        const packed::CooldownParams cooldown = packed::to_cooldown(params);
        const std::chrono::milliseconds length(cooldown.length_ms);
        status.rule = Cooldown{length, cooldown.refusals, status.mode != Mode::enforced};
        status.resets_in = ns(cooldown::wait(state, now_));
        break;
      }
      case LimitKind::breaker:  // read_limits() calls breaker() instead
      case LimitKind::queue:    // it is not a limit
        break;
    }
  }

  [[nodiscard]] BreakerStatus breaker(LimitRef ref, bool shadow) const {
    const BreakerRecord& record = sections_.breaker(ref.block);
    const BreakerParams params = record.params.load();
    const detail::BreakerReading seen = record.breaker.status(params, now_);
    BreakerStatus status;
    status.operation = read_name(sections_.blocks[ref.block].name);
    status.breaker = to_policy(params, shadow);
    status.state = state_of(seen.kind);
    status.failures_in_a_row = seen.consecutive;
    status.calls = seen.window.calls;
    status.failures = seen.window.failures;
    status.slow = seen.window.slow;
    status.probes_out = seen.probes_out;
    status.trips = seen.trips;
    if (seen.wait != kNever) status.next_probe = std::chrono::nanoseconds(ns_from_ticks(seen.wait));
    return status;
  }

  /// Counts the entries of the user table in one pass. @return what each limit has, by its LimitId.
  std::vector<Holders> read_users(UserTableStatus& status) const {
    std::vector<Holders> holders(kMaxBlocks * kBlockLimits + 1);
    sections_.for_each_user_entry(segment_, [&](UserLimit entry, std::uint64_t state) {
      ++status.occupied;
      if (entry.id == 0 || entry.id >= holders.size()) return;  // the entry is damaged
      const bool active = add(holders[entry.id], entry, state);
      status.active += active ? 1 : 0;
    });
    return holders;
  }

  bool add(Holders& holders, UserLimit entry, std::uint64_t state) const {
    const LimitRef ref = LimitRef::of(LimitId{entry.id});
    if (kind_of(ref.index) == LimitKind::permits) {
      if (state == 0) return false;
      if (entry.part == 0) ++holders.users;  // count a user once: its first part is filled first
      holders.in_use += owner_set::count(state);
      return true;
    }
    const bool keeps_entries =
        kind_of(ref.index) != LimitKind::breaker && kind_of(ref.index) != LimitKind::queue;
    if (!keeps_entries || ref.block >= kMaxBlocks) return false;  // the entry is damaged
    const UserRule rule = UserRule::of(sections_, ref);
    if (rule.debt(state, now_) == 0) return false;
    ++holders.users;
    if (rule.wait(state, now_, 1) != 0) ++holders.exhausted;
    return true;
  }

  void read_workers(Snapshot& snapshot) const {
    const WorkerView slots(sections_.workers, segment_);
    snapshot.worker_slots = slots.size();
    std::vector<std::size_t> position(slots.size(), kNowhere);
    for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
      const SlotIdentity tenant = slots.identity(slot);
      if (!tenant.published) continue;
      position[slot] = snapshot.workers.size();
      snapshot.workers.push_back(worker(slots, slot, tenant));
    }
    const auto of = [&](std::uint32_t slot) {
      return slot < position.size() && position[slot] != kNowhere ? &snapshot.workers[position[slot]]
                                                                  : nullptr;
    };
    PermitsView(sections_.permit_cells).for_each([&](std::uint64_t word) {
      WorkerStatus* holder = of(permit_word::owner(word).slot());
      if (holder == nullptr) return;
      ++holder->permits;
      const std::chrono::nanoseconds age(ns_from_ticks(permit_word::age(word, now_)));
      holder->oldest = std::max(holder->oldest, age);
    });
    sections_.for_each_user_entry(segment_, [&](UserLimit entry, std::uint64_t set) {
      if (kind_of(LimitRef::of(LimitId{entry.id}).index) != LimitKind::permits) return;
      for (std::uint32_t i = 0; i < owner_set::kPermitsPerSet; ++i) {
        const owner_set::PackedOwner owner = owner_set::at(set, i);
        if (WorkerStatus* holder = owner != 0 ? of(owner_set::slot_of(owner)) : nullptr) ++holder->permits;
      }
    });
  }

  void read_queues(Snapshot& snapshot) const {
    const auto read_queue = [&](std::uint32_t block_index) {
      const Block& block = sections_.blocks[block_index];
      const LimitRecord& record = block.limits[kQueue];
      const std::span<const Seat> seats =
          CellRange::from_word(record.cells.load(std::memory_order_relaxed)).in(sections_.seats);
      const bool present = block.presence(std::memory_order_acquire).has(kQueue);
      QueueStatus status;
      status.name = limit_name(sections_.blocks, {block_index, kQueue});
      if (present) status.queue = packed::to_queue(record.params.load(std::memory_order_relaxed));
      std::array<std::uint64_t, 8> of_class{};
      for (const Seat& seat : seats) {
        const Seated who = Seated::of(seat.load());
        if (!who.taken()) continue;
        WaiterStatus waiter = this->waiter(snapshot, who);
        waiter.queue = status.name;
        ++status.waiting;
        ++of_class[who.urgency & 7];
        status.oldest = std::max(status.oldest, waiter.waited);
        snapshot.waiters.push_back(std::move(waiter));
      }
      if (!present && status.waiting == 0) return;
      for (std::size_t urgency = of_class.size(); urgency-- > 0;) {
        if (of_class[urgency] == 0) continue;
        status.by_priority +=
            fmt::format("{}{}: {}", status.by_priority.empty() ? "" : ", ", urgency, of_class[urgency]);
      }
      snapshot.queues.push_back(std::move(status));
    };
    read_queue(kGlobalBlock);
    for (std::uint32_t i = 0; i < sections_.operations(); ++i) read_queue(kFirstOperation + i);
  }

  WaiterStatus waiter(Snapshot& snapshot, const Seated& who) const {
    WaiterStatus waiter;
    const std::uint32_t block = who.lacks.block % kMaxBlocks;
    if (block >= kFirstOperation && block < kFirstOverride)
      waiter.operation = read_name(sections_.blocks[block].name);
    waiter.priority = who.urgency;
    const std::uint64_t age = ((now_ >> Seated::kArrivalShift) - who.arrival) & Seated::kArrivalMask;
    // A request that came after the clock was read seems to be as old as can be.
    if (age < Seated::kArrivalMask / 2)
      waiter.waited = std::chrono::nanoseconds(ns_from_ticks(age << Seated::kArrivalShift));
    waiter.lacks = lacks_text(who.lacks.what);
    waiter.absent = !who.present(now_);
    const auto worker = std::ranges::find(snapshot.workers, who.owner.slot(), &WorkerStatus::slot);
    if (worker != snapshot.workers.end()) {
      ++worker->waiting;
      waiter.pid = worker->pid;
    }
    return waiter;
  }

  static std::string lacks_text(Lacks what) {
    constexpr std::array<std::string_view, 8> kWords{"permits",
                                                     "quota",
                                                     "permits of its user",
                                                     "quota of its user",
                                                     "permits over all operations",
                                                     "quota over all operations",
                                                     "permits of its user over all operations",
                                                     "quota of its user over all operations"};
    std::string text;
    for (std::size_t bit = 0; bit < kWords.size(); ++bit) {
      if ((static_cast<unsigned>(what) >> bit & 1) == 0) continue;
      if (!text.empty()) text += ", ";
      text += kWords[bit];
    }
    return text;
  }

  WorkerStatus worker(const WorkerView& slots, std::uint32_t slot, SlotIdentity tenant) const {
    const WorkerSlot& worker = slots.slots()[slot];
    std::array<std::uint64_t, 3> words{};
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = worker.name[i].load(std::memory_order_relaxed);
    std::string name(reinterpret_cast<const char*>(words.data()), sizeof(words));
    const std::uint64_t attached = std::min(worker.attached_at.load(std::memory_order_relaxed), now_);
    return {.slot = slot,
            .pid = tenant.pid,
            .name = name.substr(0, name.find('\0')),
            .dead = slots.is_dead(slot, tenant),
            .since = std::chrono::nanoseconds(ns_from_ticks(now_ - attached)),
            .permits = 0,
            .oldest = {},
            .waiting = 0};
  }

  void read_counters(Snapshot& snapshot) const {
    const UserTableCounters& counters = *sections_.user_counters;
    snapshot.table.capacity = sections_.users.size() * UserBucket::kEntries;
    snapshot.table.when_full = snapshot.config.segment.when_full;
    snapshot.table.evicted = counters.evicted.load(std::memory_order_relaxed);
    snapshot.table.refused = counters.refused.load(std::memory_order_relaxed);
    snapshot.table.unlimited = counters.unlimited.load(std::memory_order_relaxed);
    const SweepCounters& swept = *sections_.swept;
    snapshot.swept = {swept.workers.load(std::memory_order_relaxed),
                      swept.permits.load(std::memory_order_relaxed),
                      swept.late_releases.load(std::memory_order_relaxed)};
  }

  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  const Segment& segment_;
  SectionsView sections_;
  std::uint64_t now_;
};

}  // namespace

Result<Snapshot> detail::read_snapshot(const Segment& segment) {
  WEIR_TRY(const auto sections, SectionsView::of(segment));
  return SnapshotReader(segment, sections).read();
}

Result<Snapshot> take_snapshot(std::string_view segment) noexcept {
  return guarded([&]() -> Result<Snapshot> {
    WEIR_TRY(const auto attached, Segment::attach(segment, OpenMode::read_only, kAbiFingerprint));
    return read_snapshot(attached);
  });
}

}  // namespace weir
