#include <algorithm>
#include <fmt/format.h>

#include "weir/clock.hpp"
#include "weir/inspect.hpp"

#include "policy/schema.hpp"

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

std::uint64_t ticks_now(const Header& header) {
  const std::int64_t since_epoch = HostClock::now().time_since_epoch().count() - header.created_monotonic_ns;
  return ticks_from_ns(static_cast<std::uint64_t>(std::max<std::int64_t>(since_epoch, 0)));
}

class Reader {
 public:
  Reader(const Segment& segment, Records records)
      : segment_(segment), records_(std::move(records)), now_(ticks_now(segment.header())) {}

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
    snapshot.shared = shared();
    read_users(snapshot);
    return snapshot;
  }

 private:
  std::vector<SharedLimitStatus> shared() const {
    std::vector<SharedLimitStatus> shared;
    const auto states = elements<SharedState>(segment_, kSharedStatesSection);
    for (const LimitRecord& limit : records_.limits) {
      if (limit.scope != LimitScope::shared) continue;
      const std::uint64_t tat = states[limit.state].bucket.tat();
      shared.push_back({records_.name(limit), limit.rate(), gcra::available(limit.token_bucket(), tat, now_),
                        std::chrono::nanoseconds(ns_from_ticks(gcra::debt(tat, now_)))});
    }
    return shared;
  }

  void read_users(Snapshot& snapshot) const {
    std::vector<UserLimitStatus> by_id(records_.limits.size());
    const auto buckets = elements<UserBucket>(segment_, kUsersSection);
    UserTableCounters& counters = elements<UserTableCounters>(segment_, kUserCountersSection).front();
    const UserTable table(buckets, &counters);
    UserTableStatus& status = snapshot.table;
    table.for_each([&](UserLimit id, std::uint64_t tat) {
      ++status.occupied;
      if (id == 0 || id > by_id.size() || gcra::debt(tat, now_) == 0) return;
      ++status.active;
      ++by_id[id - 1U].active;
      if (gcra::wait(records_.limits[id - 1U].token_bucket(), tat, now_, 1) != 0) ++by_id[id - 1U].exhausted;
    });
    status.capacity = table.capacity();
    status.evicted = counters.evicted.load(std::memory_order_relaxed);
    status.refused = counters.refused.load(std::memory_order_relaxed);
    status.unlimited = counters.unlimited.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < by_id.size(); ++i) {
      if (records_.limits[i].scope != LimitScope::user) continue;
      by_id[i].name = records_.name(records_.limits[i]);
      by_id[i].rate = records_.limits[i].rate();
      snapshot.users.push_back(std::move(by_id[i]));
    }
  }

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
