#include <algorithm>
#include <fmt/format.h>

#include "weir/clock.hpp"
#include "weir/inspect.hpp"

#include "policy/schema.hpp"
#include "primitives/permits.hpp"
#include "workers/registry.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): written in the words of the layers it looks
                         // at

std::string uuid_text(const std::array<std::uint8_t, 16>& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

class Reader {
 public:
  Reader(const Segment& segment, Records records)
      : segment_(segment), records_(std::move(records)), now_(ticks_at(segment.header(), HostClock::now())) {}

  Snapshot read() const {
    const Header& header = segment_.header();
    Snapshot snapshot;
    snapshot.segment = segment_.name();
    snapshot.library_version = header.library_version.data();
    snapshot.layout_version = header.layout_version;
    snapshot.uuid = uuid_text(header.uuid);
    snapshot.bytes = header.total_bytes;
    snapshot.created =
        std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(header.created_wall_ns)));
    snapshot.config = decompile(records_, segment_.name());
    read_shared(snapshot);
    read_users(snapshot);
    read_workers(snapshot);
    read_counters(snapshot);
    return snapshot;
  }

 private:
  [[nodiscard]] Permits permits_of(const LimitRecord& limit) const {
    return Permits(elements<Word>(segment_, kPermitCellsSection).subspan(limit.state, limit.permits()));
  }

  void read_shared(Snapshot& snapshot) const {
    const auto states = elements<SharedState>(segment_, kSharedStatesSection);
    for (const LimitRecord& limit : records_.limits) {
      if (limit.scope != LimitScope::shared) continue;
      if (limit.kind == LimitKind::permits) {
        snapshot.shared_permits.push_back(
            {records_.name(limit), limit.permits(), permits_of(limit).in_use()});
        continue;
      }
      const std::uint64_t tat = states[limit.state].bucket.tat();
      snapshot.shared.push_back({records_.name(limit), limit.rate(),
                                 gcra::available(limit.token_bucket(), tat, now_),
                                 std::chrono::nanoseconds(ns_from_ticks(gcra::debt(tat, now_)))});
    }
  }

  void read_users(Snapshot& snapshot) const {
    std::vector<UserLimitStatus> rates(records_.limits.size());
    std::vector<UserPermitStatus> permits(records_.limits.size());
    table().for_each([&](UserLimit entry, std::uint64_t state) {
      ++snapshot.table.occupied;
      if (entry.id == 0 || entry.id > rates.size()) return;
      const std::size_t i = entry.id - 1U;
      if (records_.limits[i].kind == LimitKind::permits) {
        snapshot.table.active += add_permits(permits[i], entry, state) ? 1 : 0;
      } else {
        snapshot.table.active += add_rate(rates[i], records_.limits[i], state) ? 1 : 0;
      }
    });
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const LimitRecord& limit = records_.limits[i];
      if (limit.scope != LimitScope::user) continue;
      if (limit.kind == LimitKind::permits) {
        snapshot.user_permits.push_back(
            {records_.name(limit), limit.permits(), permits[i].users, permits[i].in_use});
      } else {
        snapshot.users.push_back({records_.name(limit), limit.rate(), rates[i].active, rates[i].exhausted});
      }
    }
  }

  bool add_rate(UserLimitStatus& status, const LimitRecord& limit, std::uint64_t tat) const {
    if (gcra::debt(tat, now_) == 0) return false;
    ++status.active;
    if (gcra::wait(limit.token_bucket(), tat, now_, 1) != 0) ++status.exhausted;
    return true;
  }

  static bool add_permits(UserPermitStatus& status, UserLimit entry, std::uint64_t set) {
    if (set == 0) return false;
    if (entry.part == 0) ++status.users;  // permits fill the first part first
    status.in_use += owner_set::count(set);
    return true;
  }

  void read_workers(Snapshot& snapshot) const {
    const Registry registry(elements<WorkerSlot>(segment_, kWorkersSection), segment_);
    snapshot.worker_slots = registry.size();
    std::vector<std::size_t> position(registry.size(), kNowhere);
    for (std::uint32_t slot = 0; slot < registry.size(); ++slot) {
      const SlotIdentity tenant = registry.identity(slot);
      if (!tenant.published) continue;
      position[slot] = snapshot.workers.size();
      snapshot.workers.push_back(worker(registry, slot, tenant));
    }
    const auto of = [&](std::uint32_t slot) {
      return slot < position.size() && position[slot] != kNowhere ? &snapshot.workers[position[slot]]
                                                                  : nullptr;
    };
    Permits(elements<Word>(segment_, kPermitCellsSection)).for_each([&](std::uint64_t word) {
      WorkerStatus* holder = of(permit_word::owner(word).slot());
      if (holder == nullptr) return;
      ++holder->permits;
      const std::chrono::nanoseconds age(ns_from_ticks(permit_word::age(word, now_)));
      holder->oldest = std::max(holder->oldest, age);
    });
    table().for_each([&](UserLimit entry, std::uint64_t set) {
      if (entry.id == 0 || entry.id > records_.limits.size()) return;
      if (records_.limits[entry.id - 1U].kind != LimitKind::permits) return;
      for (std::uint32_t i = 0; i < owner_set::kPlaces; ++i) {
        const owner_set::Place place = owner_set::at(set, i);
        if (WorkerStatus* holder = place != 0 ? of(owner_set::slot_of(place)) : nullptr) ++holder->permits;
      }
    });
  }

  WorkerStatus worker(const Registry& registry, std::uint32_t slot, SlotIdentity tenant) const {
    const WorkerSlot& line = registry.slots()[slot];
    std::array<std::uint64_t, 3> words{};
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = line.name[i].load(std::memory_order_relaxed);
    std::string name(reinterpret_cast<const char*>(words.data()), sizeof(words));
    const std::uint64_t attached = std::min(line.attached_at.load(std::memory_order_relaxed), now_);
    return {.slot = slot,
            .pid = tenant.pid,
            .name = name.substr(0, name.find('\0')),
            .dead = registry.is_dead(slot, tenant),
            .since = std::chrono::nanoseconds(ns_from_ticks(now_ - attached)),
            .permits = 0,
            .oldest = {}};
  }

  void read_counters(Snapshot& snapshot) const {
    const UserTable users = table();
    const UserTableCounters& counters = users.counters();
    snapshot.table.capacity = users.capacity();
    snapshot.table.evicted = counters.evicted.load(std::memory_order_relaxed);
    snapshot.table.refused = counters.refused.load(std::memory_order_relaxed);
    snapshot.table.unlimited = counters.unlimited.load(std::memory_order_relaxed);
    const SweepCounters& swept = elements<SweepCounters>(segment_, kSweepCountersSection).front();
    snapshot.swept = {swept.workers.load(std::memory_order_relaxed),
                      swept.permits.load(std::memory_order_relaxed),
                      swept.late_releases.load(std::memory_order_relaxed)};
  }

  [[nodiscard]] UserTable table() const {
    return {elements<UserBucket>(segment_, kUsersSection),
            &elements<UserTableCounters>(segment_, kUserCountersSection).front()};
  }

  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  const Segment& segment_;
  Records records_;
  std::uint64_t now_;
};

}  // namespace

Result<Snapshot> take_snapshot(std::string_view segment) noexcept {
  try {
    const auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
    if (!attached) return attached.error();
    auto records = read_records(*attached);
    if (!records) return records.error();
    return Reader(*attached, std::move(*records)).read();
  } catch (const std::exception& e) {
    return Error{Errc::system, e.what(), ""};
  }
}

}  // namespace weir
