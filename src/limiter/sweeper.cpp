// SPDX-License-Identifier: Apache-2.0
#include "limiter/sweeper.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>

#include "policy/events.hpp"
#include "policy/queues.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"
#include "primitives/waiting_queue.hpp"
#include "workers/process.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kSweepInterval = ticks_from_ns(10'000'000);
/// How many workers a sweep that is part of a request asks about at most. The kernel walks all locks of the segment to
/// answer for one of them, so asking about all of 4,095 workers would take eight times as long as this. Eight sweeps
/// ask about all of them; each sweep begins with those whose pid is unused.
constexpr std::uint32_t kMostAsked = 512;

/// "captions_server pid 4120": which worker has died, for the journal. Call it before the slot is free.
std::array<char, 56> subject_of(const WorkerSlot& slot, SlotIdentity tenant) noexcept {
  std::array<char, 56> text{};
  std::size_t size = 0;
  for (const Word& word : slot.name) {
    const std::uint64_t part = word.load(std::memory_order_relaxed);
    std::memcpy(text.data() + size, &part, sizeof(part));
    size += sizeof(part);
  }
  size = strnlen(text.data(), size);
  constexpr std::string_view kPid = " pid ";
  std::memset(text.data() + size, 0, text.size() - size);
  std::copy(kPid.begin(), kPid.end(), text.begin() + size);
  std::to_chars(text.data() + size + kPid.size(), text.data() + text.size(), tenant.pid);
  return text;
}

}  // namespace

/// The tenants that were found dead when the sweep began. Slots may change hands while it runs, so judging an owner
/// looks at its slot again.
class Sweeper::DeadSet {
 public:
  /// Asks about up to `most` tenants, from slot `first` on.
  DeadSet(const Registry& registry, std::uint32_t first, std::uint32_t most) noexcept : registry_(registry) {
    const std::uint32_t size = registry.size();
    const std::uint64_t own_namespace = most < size ? own_pid_namespace() : 0;
    std::uint32_t asked = 0;
    for (std::uint32_t slot = 0; own_namespace != 0 && slot < size && asked < most; ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (!tenant.published || !registry.pid_is_free(slot, tenant, own_namespace)) continue;
      ask(slot, tenant);
      ++asked;
    }
    std::uint32_t passed = 0;
    for (; passed < size && asked < most; ++passed) {
      const std::uint32_t slot = (first + passed) % size;
      const SlotIdentity tenant = registry.identity(slot);
      if (!tenant.published || is_dead(slot, tenant)) continue;
      ask(slot, tenant);
      ++asked;
    }
    next_ = size == 0 ? 0 : (first + passed) % size;
  }

  /// The slot from which the next sweep should ask on.
  [[nodiscard]] std::uint32_t next() const noexcept { return next_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  /// Whether an owner is gone. Of its generation, only the low bits are known.
  [[nodiscard]] bool gone(std::uint32_t slot, std::uint32_t generation, std::uint32_t mask) const noexcept {
    if (slot >= registry_.size()) return true;  // damage
    const SlotIdentity tenant = registry_.identity(slot);
    if (!tenant.published || (tenant.generation & mask) != generation) return true;
    return is_dead(slot, tenant);
  }

  /// As gone(), for a permit, which is then taken back: it is counted for its worker. Only for people, since another sweep
  /// may be faster.
  [[nodiscard]] bool loses_permit(std::uint32_t slot, std::uint32_t generation, std::uint32_t mask) noexcept {
    if (!gone(slot, generation, mask)) return false;
    if (slot < permits_.size() && permits_[slot] < std::numeric_limits<std::uint16_t>::max())
      ++permits_[slot];
    return true;
  }
  /// How many permits a worker has lost.
  [[nodiscard]] std::uint32_t permits(std::uint32_t slot) const noexcept { return permits_[slot]; }

  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (std::uint32_t slot = 0; slot < registry_.size(); ++slot) {
      const SlotIdentity tenant = registry_.identity(slot);
      if (tenant.published && is_dead(slot, tenant)) visit(slot, tenant);
    }
  }

 private:
  void ask(std::uint32_t slot, SlotIdentity tenant) noexcept {
    if (!registry_.is_dead(slot, tenant)) return;
    dead_generation_[slot] = tenant.generation + 1;
    ++size_;
  }
  [[nodiscard]] bool is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept {
    return dead_generation_[slot] == tenant.generation + 1;
  }

  const Registry& registry_;
  std::array<std::uint32_t, kMaxWorkers> dead_generation_{};  // plus one; 0: not dead
  std::array<std::uint16_t, kMaxWorkers> permits_{};
  std::uint32_t size_ = 0;
  std::uint32_t next_ = 0;
};

bool Sweeper::sweep_if_due(std::uint64_t now) noexcept {
  std::uint64_t last = sections_.swept->last_sweep.load(std::memory_order_relaxed);
  // A time in the future is damage, or the reading of a clock that is a little ahead of this one. Sweeping is right in
  // both cases; if it waited for a damaged time, it might never sweep again.
  if (now - last < kSweepInterval && last != 0) return false;
  if (!sections_.swept->last_sweep.compare_exchange(last, now, std::memory_order_relaxed)) return false;
  const ReapReport report = sweep(kMostAsked);
  return report.workers != 0 || report.permits != 0;
}

ReapReport Sweeper::sweep() noexcept {
  return sweep(kMaxWorkers);
}

ReapReport Sweeper::sweep(std::uint32_t most_asked) noexcept {
  ReapReport report;
  const Registry::Sweeping said(registry_);
  if (!said) return report;
  const std::uint64_t first = sections_.swept->next_slot.load(std::memory_order_relaxed);
  DeadSet dead(registry_, static_cast<std::uint32_t>(first % std::max(1U, registry_.size())), most_asked);
  // relaxed: this is a hint. Two sweeps at the same time ask about the same workers.
  sections_.swept->next_slot.store(dead.next(), std::memory_order_relaxed);
  const auto gone = [&](Owner owner) { return dead.gone(owner.slot(), owner.generation(), 0xff); };
  const std::uint32_t seats = reclaim_seats(sections_.seats, gone);
  report.permits = reclaim(dead);
  if (seats + report.permits != 0) {
    ring_all_waiters(sections_);
    shut_if_empty(*sections_.gate, sections_.seats);
  }
  // crash here: the slots are still published, and the next sweep finds nothing left to return.
  dead.for_each([&](std::uint32_t slot, SlotIdentity tenant) {
    const std::array<char, 56> dead_worker = subject_of(sections_.workers[slot], tenant);
    if (!registry_.release(slot, tenant)) return;
    ++report.workers;
    write_event(sections_,
                {.kind = EventKind::reaped,
                 .value = slot,
                 .of = dead.permits(slot),
                 .subject = {dead_worker.data(), strnlen(dead_worker.data(), dead_worker.size())}});
  });
  if (report.workers != 0) sections_.swept->workers.fetch_add(report.workers, std::memory_order_relaxed);
  if (report.permits != 0) sections_.swept->permits.fetch_add(report.permits, std::memory_order_relaxed);
  return report;
}

bool Sweeper::had_user_permits() const noexcept {
  constexpr LimitMask kMask = static_cast<LimitMask>(masks::kBulkheads) << kScopeLimits;
  for (const Block& block : sections_.blocks) {
    for (const std::uint32_t index : LimitIndices(kMask)) {
      const std::uint64_t highest_ever = block.limits[index].state.load(std::memory_order_relaxed);
      if (highest_ever != 0) return true;
    }
  }
  return false;
}

bool Sweeper::holds(Owner owner) const noexcept {
  bool found = false;
  const auto note = [&](Owner of) {
    found |= of == owner;
    return false;
  };
  (void)Permits(sections_.permit_cells).reclaim(note);
  (void)reclaim_seats(sections_.seats, note);
  for (BreakerRecord& record : sections_.breakers) (void)record.breaker.reclaim(note);
  if (found || !had_user_permits()) return found;
  sections_.for_each_user_entry(segment_, [&](UserLimit entry, std::uint64_t set) {
    if (set != 0 && kind_of(LimitRef::of(LimitId{entry.id}).index) == LimitKind::permits)
      found |= owner_set::remove(set, owner_set::pack(owner)).has_value();
  });
  return found;
}

std::uint64_t Sweeper::reclaim(DeadSet& dead) noexcept {
  // This takes the cells of all limits at once, since it does not matter which limit a permit is of.
  std::uint64_t permits = Permits(sections_.permit_cells).reclaim([&](Owner owner) {
    return dead.loses_permit(owner.slot(), owner.generation(), 0xff);
  });
  for (BreakerRecord& record : sections_.breakers) {
    record.breaker.reclaim([&](Owner owner) { return dead.gone(owner.slot(), owner.generation(), 0xff); });
  }
  // The user table may be large, so it is looked at only if that may return something.
  if (dead.empty() || !had_user_permits()) return permits;
  sections_.modify_user_entries(
      segment_, [&](UserLimit entry, std::uint64_t set) -> std::optional<std::uint64_t> {
        if (set == 0 || kind_of(LimitRef::of(LimitId{entry.id}).index) != LimitKind::permits)
          return std::nullopt;
        const std::uint64_t left = owner_set::without(set, [&](owner_set::PackedOwner owner) {
          return dead.loses_permit(owner_set::slot_of(owner), owner_set::generation_of(owner),
                                   owner_set::kGenerations - 1);
        });
        if (left == set) return std::nullopt;
        permits += owner_set::count(set) - owner_set::count(left);
        return left;
      });
  return permits;
}

}  // namespace weir::detail
