#include "limiter/sweeper.hpp"

#include <algorithm>
#include <array>

#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kSweepInterval = ticks_from_ns(10'000'000);

}  // namespace

/// The tenants found dead when the sweep began. Slots may change hands while it runs; judging an owner looks
/// again.
class Sweeper::DeadSet {
 public:
  explicit DeadSet(const Registry& registry) noexcept : registry_(registry) {
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (!tenant.published || !registry.is_dead(slot, tenant)) continue;
      dead_generation_[slot] = tenant.generation + 1;
      ++size_;
    }
  }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  /// Whether the owner, of whom only the low bits of the generation are known, is gone.
  [[nodiscard]] bool gone(std::uint32_t slot, std::uint32_t generation, std::uint32_t mask) const noexcept {
    if (slot >= registry_.size()) return true;  // damage
    const SlotIdentity tenant = registry_.identity(slot);
    if (!tenant.published || (tenant.generation & mask) != generation) return true;
    return is_dead(slot, tenant);
  }

  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    for (std::uint32_t slot = 0; slot < registry_.size(); ++slot) {
      const SlotIdentity tenant = registry_.identity(slot);
      if (tenant.published && is_dead(slot, tenant)) visit(slot, tenant);
    }
  }

 private:
  [[nodiscard]] bool is_dead(std::uint32_t slot, SlotIdentity tenant) const noexcept {
    return dead_generation_[slot] == tenant.generation + 1;
  }

  const Registry& registry_;
  std::array<std::uint32_t, kMaxWorkers> dead_generation_{};  // plus one; 0: not dead
  std::uint32_t size_ = 0;
};

bool Sweeper::sweep_if_due(std::uint64_t now) noexcept {
  std::uint64_t last = sections_.swept->last_sweep.load(std::memory_order_relaxed);
  // A time from the future is damage, or a clock ahead of ours by little: sweep rather than never again.
  if (now - last < kSweepInterval && last != 0) return false;
  if (!sections_.swept->last_sweep.compare_exchange(last, now, std::memory_order_relaxed)) return false;
  const ReapReport report = sweep();
  return report.workers != 0 || report.permits != 0;
}

ReapReport Sweeper::sweep() noexcept {
  const DeadSet dead(registry_);
  ReapReport report;
  report.permits = reclaim(dead);
  // crash here: the slots are still published, and the next sweep finds nothing left to return.
  dead.for_each([&](std::uint32_t slot, SlotIdentity tenant) {
    report.workers += registry_.release(slot, tenant) ? 1 : 0;
  });
  if (report.workers != 0) sections_.swept->workers.fetch_add(report.workers, std::memory_order_relaxed);
  if (report.permits != 0) sections_.swept->permits.fetch_add(report.permits, std::memory_order_relaxed);
  return report;
}

bool Sweeper::has_user_permits() const noexcept {
  constexpr std::uint64_t kMask = std::uint64_t{lines::kBulkheads} << kScopeLines;
  return std::any_of(sections_.blocks.begin(), sections_.blocks.end(), [](const Block& block) {
    const std::uint64_t present = block.present.load(std::memory_order_relaxed);
    return ((present | present >> 32) & kMask) != 0;
  });
}

std::uint64_t Sweeper::reclaim(const DeadSet& dead) noexcept {
  // The cells of all limits in one go: reclaiming does not care whose they are.
  std::uint64_t permits = Permits(sections_.permit_cells).reclaim([&](Owner owner) {
    return dead.gone(owner.slot(), owner.generation(), 0xff);
  });
  for (BreakerRecord& record : sections_.breakers) {
    record.breaker.reclaim([&](Owner owner) { return dead.gone(owner.slot(), owner.generation(), 0xff); });
  }
  // The user table may be large: not without need. Orphans in it can wait for the next death.
  if (dead.empty() || !has_user_permits()) return permits;
  sections_.modify_user_entries(
      segment_, [&](UserLimit entry, std::uint64_t set) -> std::optional<std::uint64_t> {
        if (set == 0 || kind_of(LimitPlace::of(LimitId{entry.id}).line) != LimitKind::permits)
          return std::nullopt;
        const std::uint64_t left = owner_set::without(set, [&](owner_set::Place place) {
          return dead.gone(owner_set::slot_of(place), owner_set::generation_of(place), 0xf);
        });
        if (left == set) return std::nullopt;
        permits += owner_set::count(set) - owner_set::count(left);
        return left;
      });
  return permits;
}

}  // namespace weir::detail
