// Live changes: the difference between two configurations, written limit by limit.
//
// One change at a time: the writer holds an OFD lock on a byte of the segment, which the kernel drops at its
// death. Nobody waits for it: whoever finds it taken says so.

#include <algorithm>
#include <array>
#include <chrono>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>

#include "weir/clock.hpp"
#include "weir/control.hpp"

#include "base/hash.hpp"
#include "base/text.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"
#include "policy/user_rule.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"
#include "workers/process.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): written in the words of its layers

constexpr off_t kWriterByte = (off_t{1} << 62) - 1;  // before the bytes of the workers

struct Planned {
  std::uint32_t block;
  BlockValue value;
  std::optional<weir::Breaker> breaker;
  Family family;
  Hash128 hash;
  bool exempt = false;
};

class Change {
 public:
  static Expected<Change> begin(std::string_view name) {
    auto segment = Segment::attach(name, OpenMode::read_write, kAbiFingerprint);
    if (!segment) return tl::make_unexpected(segment.error());
    auto sections = Sections::of(*segment);
    if (!sections) return tl::make_unexpected(sections.error());
    auto lock = segment->reopen(OpenMode::read_write);
    if (!lock) return tl::make_unexpected(lock.error());
    struct flock byte {};
    byte.l_type = F_WRLCK;
    byte.l_whence = SEEK_SET;
    byte.l_start = kWriterByte;
    byte.l_len = 1;
    if (::fcntl(lock->get(), F_OFD_SETLK, &byte) != 0) {
      return fail(Errc::conflict,
                  fmt::format("segment \"{}\": somebody else is just changing its limits", name),
                  "try again; if it does not end, look for a stopped shm-inspect");
    }
    return Change(std::move(*segment), *sections, std::move(*lock));
  }

  [[nodiscard]] Config current() const { return read_config(sections_, segment_.name()); }
  [[nodiscard]] const Sections& sections() const { return sections_; }

  Expected<ChangeReport> apply(const Config& wanted, bool dry_run) {
    const Config now = current();
    if (auto same = same_settings(now.segment, wanted.segment); !same)
      return tl::make_unexpected(same.error());
    Config target = canonical(wanted);
    target.segment = now.segment;
    ChangeReport report{sections_.control->generation.load(std::memory_order_relaxed),
                        config_difference(now, target)};
    if (report.changes.empty()) return report;
    auto planned = plan(now, target);
    if (!planned) return tl::make_unexpected(planned.error());
    if (dry_run) return report;
    ++report.generation;
    record(report);
    for (const Planned& change : *planned) {
      if (auto written = write(change, report.generation); !written)
        return tl::make_unexpected(written.error());
    }
    retire_missing(now, target);
    sections_.control->generation.store(report.generation, std::memory_order_release);
    return report;
  }

 private:
  Change(Segment segment, const Sections& sections, FileHandle lock)
      : segment_(std::move(segment)),
        sections_(sections),
        lock_(std::move(lock)),
        hasher_(segment_.header().secret),
        now_(ticks_at(segment_.header(), HostClock::now())) {}

  // What a segment has room for was decided when it was made. Name, mode and group are not compared: an
  // administrator may have changed them.
  Expected<void> same_settings(const SegmentPolicy& segment, SegmentPolicy wanted) const {
    wanted.name = segment.name;
    wanted.mode = segment.mode;
    wanted.group = segment.group;
    wanted.reserve = segment.reserve;
    wanted.huge_pages = segment.huge_pages;
    if (wanted == segment) return {};
    Config before;
    Config after;
    before.segment = segment;
    after.segment = wanted;
    const auto differs = config_difference(before, after);
    const std::string what = differs.empty() ? std::string("segment settings")
                                             : fmt::format("{}: segment {}, configuration {}", differs[0].key,
                                                           differs[0].from, differs[0].to);
    return fail(Errc::conflict, fmt::format("segment \"{}\": {}: fixed when it was made", segment.name, what),
                fmt::format("leave it as it is, or remove the segment with: shm-inspect --segment {} remove",
                            segment.name));
  }

  /// All blocks that change, with room for all of them.
  Expected<std::vector<Planned>> plan(const Config& now, const Config& target) {
    std::vector<Planned> planned;
    if (now.global != target.global) {
      planned.push_back({kGlobalBlock, compile(target.global), {}, Family::operations, {}});
    }
    std::uint32_t added = 0;
    for (const auto& [name, policy] : target.operations) {
      const auto known = now.operations.find(name);
      if (known != now.operations.end() && known->second == policy) continue;
      auto block = place(Family::operations, name, added);
      if (!block) return tl::make_unexpected(block.error());
      planned.push_back({*block, compile(policy), policy.breaker, Family::operations, hasher_(name)});
    }
    added = 0;
    for (const auto& [key, user] : target.users) {
      const auto known = now.users.find(key);
      if (known != now.users.end() && known->second == user) continue;
      auto block = place(Family::overrides, key, added);
      if (!block) return tl::make_unexpected(block.error());
      planned.push_back({*block, compile(user), {}, Family::overrides, hasher_(key), user.exempt});
    }
    return enough_room(std::move(planned));
  }

  Expected<std::uint32_t> place(Family family, std::string_view name, std::uint32_t& added) const {
    return block_for(sections_, family, name, hasher_(name), added);
  }

  Expected<std::vector<Planned>> enough_room(std::vector<Planned> planned) const {
    Room needed;
    for (const Planned& change : planned) {
      auto room = room_for(sections_, change.block, change.value);
      if (!room) return tl::make_unexpected(room.error());
      needed.permit_cells += room->permit_cells;
      needed.window_cells += room->window_cells;
    }
    const auto left = [](const Word& used, std::span<Word> section) {
      return section.size() - std::min<std::uint64_t>(used.load(std::memory_order_relaxed), section.size());
    };
    if (needed.permit_cells <= left(sections_.control->permit_cells, sections_.permit_cells) &&
        needed.window_cells <= left(sections_.control->window_cells, sections_.window_cells))
      return planned;
    return fail(Errc::no_space, "this segment has no room for so many more permits and windows",
                "remove it and let it be created anew with the new limits");
  }

  Expected<void> write(const Planned& change, std::uint64_t generation) {
    Block& block = sections_.blocks[change.block];
    std::array<std::uint64_t, kBlockLines> before{};
    for (std::uint32_t i = 0; i < kBlockLines; ++i)
      before[i] = block.limits[i].params.load(std::memory_order_relaxed);
    write_breaker(sections_, change.block, change.breaker);
    auto changed = write_block(sections_, change.block, change.value);
    if (!changed) return tl::make_unexpected(changed.error());
    for (const std::uint32_t line : LineRange(*changed)) {
      block.limits[line].changed.store(generation, std::memory_order_relaxed);
      carry_over({change.block, line}, before[line]);
    }
    if (change.family == Family::overrides) {
      block.exempt.store(change.exempt ? 1 : 0, std::memory_order_relaxed);
    }
    if (change.block != kGlobalBlock) publish_block(sections_, change.family, change.hash, change.block);
    return {};
  }

  // What has been spent under the old value, under the new one.
  void carry_over(LimitPlace place, std::uint64_t before) {
    LimitLine& line = sections_.blocks[place.block].limits[place.line];
    const std::uint64_t after = line.params.load(std::memory_order_relaxed);
    if (before == 0 || before == after) return;
    if (kind_of(place.line) == LimitKind::rate) return clamp(place, line, packed::to_token_bucket(after));
    if (kind_of(place.line) != LimitKind::window) return;
    const packed::WindowParams old = packed::to_window(before);
    const packed::WindowParams now = packed::to_window(after);
    const bool same_count =
        old.kind == now.kind && (old.length_ms == now.length_ms || now.kind == WindowKind::log);
    if (same_count) return;
    if (scope_of(place.line) == LimitScope::shared) {
      return SharedWindow(line, sections_.window_cells, sections_.created_wall_ns).reset();
    }
    change_users(place, [](std::uint64_t) { return std::uint64_t{0}; });
  }

  // Nobody owes more than an empty bucket of the new size.
  void clamp(LimitPlace place, LimitLine& line, TokenBucketParams params) {
    if (scope_of(place.line) == LimitScope::shared) return TokenBucket(line.state).clamp(params, now_);
    change_users(place, [&](std::uint64_t tat) {
      return gcra::debt(tat, now_) > params.depth() ? now_ + params.depth() : tat;
    });
  }

  template <class Next>
  void change_users(LimitPlace place, Next&& next_of) {
    sections_.modify_user_entries(segment_,
                                  [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
                                    if (entry.id != static_cast<std::uint16_t>(place.id()))
                                      return std::nullopt;
                                    const std::uint64_t next = next_of(state);
                                    return next == state ? std::nullopt : std::optional(next);
                                  });
  }

  void retire_missing(const Config& now, const Config& target) {
    for (const auto& entry : now.operations) {
      if (!target.operations.contains(entry.first)) retire(sections_.operation_index, entry.first);
    }
    for (const auto& entry : now.users) {
      if (!target.users.contains(entry.first)) retire(sections_.override_index, entry.first);
    }
  }

  void retire(BlockIndex index, std::string_view name) {
    if (const std::uint32_t block = find_block(index, hasher_(name)); block != 0)
      retire_block(sections_, block);
  }

  void record(const ChangeReport& report) {
    std::uint64_t sequence = newest_sequence();
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    for (const ConfigChange& change : report.changes) {
      ++sequence;
      ChangeRecord& record = sections_.history[sequence % kHistoryRecords];
      record.sequence.store(0, std::memory_order_relaxed);  // the stores below publish it
      record.generation.store(report.generation, std::memory_order_release);
      record.wall_ns.store(
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count()),
          std::memory_order_release);
      record.who.store(std::uint64_t{::getuid()} << 32 | static_cast<std::uint32_t>(::getpid()),
                       std::memory_order_release);
      record.program.store(own_name());
      record.key.store(change.key);
      record.from.store(change.from);
      record.to.store(change.to);
      record.sequence.store(sequence, std::memory_order_release);  // sync(record)
    }
  }

  [[nodiscard]] std::uint64_t newest_sequence() const {
    std::uint64_t newest = 0;
    for (const ChangeRecord& record : sections_.history) {
      newest = std::max(newest, record.sequence.load(std::memory_order_acquire));
    }
    return newest;
  }

  Segment segment_;
  Sections sections_;
  FileHandle lock_;
  KeyHasher hasher_;
  std::uint64_t now_;
};

std::vector<ChangeEntry> read_history(const Sections& sections) {
  std::vector<std::pair<std::uint64_t, ChangeEntry>> found;
  for (const ChangeRecord& record : sections.history) {
    const std::uint64_t sequence = record.sequence.load(std::memory_order_acquire);  // sync(record)
    if (sequence == 0) continue;
    const std::uint64_t who = record.who.load(std::memory_order_acquire);
    ChangeEntry entry{
        record.generation.load(std::memory_order_acquire),
        std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(
                static_cast<std::int64_t>(record.wall_ns.load(std::memory_order_acquire))))),
        static_cast<std::uint32_t>(who >> 32),
        static_cast<std::uint32_t>(who),
        record.program.load(),
        {record.key.load(), record.from.load(), record.to.load()}};
    // relaxed: every load of the record before it was an acquire.
    if (record.sequence.load(std::memory_order_relaxed) == sequence)
      found.emplace_back(sequence, std::move(entry));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<ChangeEntry> entries;
  entries.reserve(found.size());
  for (auto& entry : found) entries.push_back(std::move(entry.second));
  return entries;
}

// Nothing thrown leaves the library: out of memory on a cold path is an error like any other.
template <class Call>
auto guarded(Call&& call) noexcept -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& e) {
    return Error{Errc::system, e.what(), ""};
  }
}

template <class T>
Result<T> to_result(Expected<T> expected) {
  if (!expected) return expected.error();
  return *std::move(expected);
}

}  // namespace

Result<ChangeReport> set_limit(std::string_view segment, std::string_view key, std::string_view value,
                               bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    Config wanted = change->current();
    if (auto set = set_value(wanted, key, value); !set) return set.error();
    return to_result(change->apply(wanted, dry_run));
  });
}

Result<ChangeReport> apply_config(std::string_view segment, const Config& config, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    if (auto valid = validate(config); !valid) return valid.error();
    auto change = Change::begin(segment);
    if (!change) return change.error();
    return to_result(change->apply(config, dry_run));
  });
}

Result<ChangeReport> roll_back(std::string_view segment, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    const std::uint64_t last = change->sections().control->generation.load(std::memory_order_acquire);
    std::vector<ConfigChange> back;
    for (const ChangeEntry& entry : read_history(change->sections())) {
      if (entry.generation == last) back.push_back({entry.change.key, entry.change.to, entry.change.from});
    }
    if (last == 0 || back.empty()) {
      return Error{Errc::not_found, fmt::format("segment \"{}\": no change to take back", segment),
                   "see what was changed with: shm-inspect history"};
    }
    Config wanted = change->current();
    if (auto set = apply_changes(wanted, back); !set) return set.error();
    return to_result(change->apply(wanted, dry_run));
  });
}

Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept {
  return guarded([&]() -> Result<std::vector<ChangeEntry>> {
    auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
    if (!attached) return attached.error();
    auto sections = Sections::of(*attached);
    if (!sections) return sections.error();
    return read_history(*sections);
  });
}

Result<void> switch_breaker(std::string_view segment, std::string_view operation,
                            BreakerSwitch position) noexcept {
  return guarded([&]() -> Result<void> {
    auto attached = Segment::attach(segment, OpenMode::read_write, kAbiFingerprint);
    if (!attached) return attached.error();
    auto sections = Sections::of(*attached);
    if (!sections) return sections.error();
    const std::uint32_t block =
        find_block(sections->operation_index, KeyHasher(attached->header().secret)(operation));
    if (block == 0 || !sections->blocks[block].presence(std::memory_order_acquire).has(kBreaker)) {
      return Error{
          Errc::not_found, fmt::format("operation {}: has no breaker", quoted(operation)),
          "give it one with: shm-inspect set operations.X.breaker '{ failures = 5, recovery = \"60s\" }'"};
    }
    constexpr std::array kKinds{BreakerKind::closed, BreakerKind::forced_open, BreakerKind::forced_closed,
                                BreakerKind::disabled, BreakerKind::metrics_only};
    sections->breaker(block).breaker.set(kKinds[static_cast<std::size_t>(position)]);
    return {};
  });
}

}  // namespace weir
