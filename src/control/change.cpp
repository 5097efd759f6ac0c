// Live changes: the difference between two configurations, written limit by limit.
//
// One change at a time: the writer holds an OFD lock on a byte of the segment, which the kernel drops at its
// death, and which no child of it keeps. Nobody waits for it: a second writer is told that it is taken.

#include <algorithm>
#include <array>
#include <chrono>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <unistd.h>

#include "weir/clock.hpp"
#include "weir/control.hpp"

#include "base/hash.hpp"
#include "base/result.hpp"
#include "base/text.hpp"
#include "control/difference.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"
#include "policy/turn.hpp"
#include "policy/user_rule.hpp"
#include "primitives/cooldown.hpp"
#include "primitives/permits.hpp"
#include "segment/mapping.hpp"
#include "users/table.hpp"
#include "workers/inherited.hpp"
#include "workers/process.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): written in the words of its layers

constexpr off_t kWriterByte = (off_t{1} << 62) - 1;  // before the bytes of the workers

struct Planned {
  std::uint32_t block;
  BlockValue value;
  std::optional<Breaker> breaker;
  Family family;
  Hash128 hash;
  bool exempt = false;
  std::string given_to = {};  ///< the name that takes the block over from another; empty: it has it already
};

/// Switches of breakers, by operation.
using Switches = std::map<std::string, BreakerSwitch, std::less<>>;

constexpr std::string_view kOperations = "operations.";
constexpr std::string_view kState = ".breaker.state";
constexpr std::array kSwitches{BreakerSwitch::automatic, BreakerSwitch::forced_open,
                               BreakerSwitch::forced_closed, BreakerSwitch::disabled,
                               BreakerSwitch::metrics_only};

std::string switch_key(std::string_view operation) {
  return fmt::format("{}{}{}", kOperations, operation, kState);
}
/// The operation whose switch a key names; nothing if it is not a switch.
std::optional<std::string_view> switched_operation(std::string_view key) {
  if (key.size() <= kOperations.size() + kState.size() || !key.starts_with(kOperations) ||
      !key.ends_with(kState))
    return std::nullopt;
  return key.substr(kOperations.size(), key.size() - kOperations.size() - kState.size());
}
BreakerSwitch switch_named(std::string_view name) {
  const auto found = std::find_if(kSwitches.begin(), kSwitches.end(),
                                  [&](BreakerSwitch position) { return to_string(position) == name; });
  return found == kSwitches.end() ? BreakerSwitch::automatic : *found;
}

/// What differs of two configurations, but for settings of a segment that no limit depends on.
std::vector<ConfigChange> difference_between(const Config& now, const Config& wanted) {
  Config target = canonical(wanted);
  target.segment.name = now.segment.name;
  target.segment.mode = now.segment.mode;
  target.segment.group = now.segment.group;
  target.segment.reserve = now.segment.reserve;
  target.segment.huge_pages = now.segment.huge_pages;
  target.segment.on_fault = now.segment.on_fault;
  target.segment.on_difference = now.segment.on_difference;
  target.segment.local_workers = now.segment.local_workers;
  return config_difference(now, target);
}

struct flock writer_byte(short type) {
  struct flock byte {};
  byte.l_type = type;
  byte.l_whence = SEEK_SET;
  byte.l_start = kWriterByte;
  byte.l_len = 1;
  return byte;
}

/// Ends a lock of this process alone: a program that forks while it changes limits does not leave it to the
/// child. Unlocked before it is closed, because a child that has not run yet has not closed its copy.
struct GiveUpLock {
  void operator()(KeptFile* file) const noexcept {
    struct flock byte = writer_byte(F_UNLCK);
    if (file->mark.is_there()) (void)::fcntl(file->mark.fd(), F_OFD_SETLK, &byte);
    close_kept(*file);
  }
};
using WriterLock = std::unique_ptr<KeptFile, GiveUpLock>;

Result<WriterLock> take_writer_lock(const Segment& segment) {
  Error error{Errc::system, "out of memory", ""};
  WriterLock lock(keep_here([&]() -> FileHandle {
    auto file = segment.reopen(OpenMode::read_write);
    if (file) return std::move(*file);
    error = file.error();
    return {};
  }));
  if (!lock) return error;
  struct flock byte = writer_byte(F_WRLCK);
  if (::fcntl(lock->mark.fd(), F_OFD_SETLK, &byte) == 0) return lock;
  return fail(Errc::conflict,
              fmt::format("segment \"{}\": somebody else is just changing its limits", segment.name()),
              "try again; if it does not end, look for a stopped shm-inspect");
}

class Change {
 public:
  static Result<Change> begin(std::string_view name) {
    auto segment = Segment::attach(name, OpenMode::read_write, kAbiFingerprint);
    if (!segment) return segment.error();
    auto sections = Sections::of(*segment);
    if (!sections) return sections.error();
    auto lock = take_writer_lock(*segment);
    if (!lock) return lock.error();
    Change change(std::move(*segment), *sections, std::move(*lock));
    if (is_being_changed(change.sections_.control->turn.load(std::memory_order_relaxed))) {
      const ChangeOfLimits killed(change.sections_.control->turn);
      change.finish_last();
    }
    return change;
  }

  [[nodiscard]] Config current() const { return load_config(sections_, segment_.name()); }
  [[nodiscard]] const Sections& sections() const { return sections_; }

  /// @param undoes  of a rollback, see ChangeRecord; 0: it is none.
  Result<ChangeReport> apply(const Config& wanted, bool dry_run, const Switches& switches = {},
                             std::uint64_t undoes = 0) {
    const Config now = current();
    if (auto same = same_settings(now.segment, wanted.segment); !same) return same.error();
    Config target = canonical(wanted);
    target.segment = now.segment;
    ChangeReport report{sections_.control->generation.load(std::memory_order_relaxed),
                        config_difference(now, target)};
    const Switches turned = add_switches(report, target, switches);
    if (report.changes.empty()) return report;
    if (auto room = enough_entries(now, target); !room) return room.error();
    auto planned = plan(now, target);
    if (!planned) return planned.error();
    if (dry_run) return report;
    const ChangeOfLimits changing(sections_.control->turn);
    ++report.generation;
    record(report, undoes);
    for (const Planned& change : *planned) {
      if (auto written = write(change); !written) return written.error();
    }
    retire_missing(now, target);
    for (const auto& [operation, position] : turned) turn_switch(operation, position);
    sections_.control->generation.store(report.generation, std::memory_order_release);
    return report;
  }

  /// Leaves word of a configuration that was opened and is not enforced; of none that differs, nothing is
  /// left.
  void note(const std::vector<ConfigChange>& differs) {
    ChangeRecord& record = *sections_.difference;
    record.sequence.store(0, std::memory_order_release);  // sync(record)
    if (differs.empty()) return;
    fill(record, differs.front(), sections_.control->generation.load(std::memory_order_relaxed));
    record.sequence.store(differs.size(), std::memory_order_release);  // sync(record)
  }

 private:
  Change(Segment segment, const Sections& sections, WriterLock lock)
      : segment_(std::move(segment)),
        sections_(sections),
        lock_(std::move(lock)),
        hasher_(segment_.header().secret),
        now_(ticks_at(segment_.header(), HostClock::now())) {}

  // What a segment has room for was decided when it was made. Name, mode and group are not compared: an
  // administrator may have changed them.
  Result<void> same_settings(const SegmentPolicy& segment, SegmentPolicy wanted) const {
    wanted.name = segment.name;
    wanted.mode = segment.mode;
    wanted.group = segment.group;
    wanted.reserve = segment.reserve;
    wanted.huge_pages = segment.huge_pages;
    wanted.on_difference = segment.on_difference;
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
  Result<std::vector<Planned>> plan(const Config& now, const Config& target) {
    std::vector<Planned> planned;
    if (now.global != target.global) {
      planned.push_back({kGlobalBlock, compile(target.global), {}, Family::operations, {}});
    }
    std::uint32_t added = 0;
    for (const auto& [name, policy] : target.operations) {
      const auto known = now.operations.find(name);
      if (known != now.operations.end() && known->second == policy) continue;
      auto block = find_room(Family::operations, name, added, planned);
      if (!block) return block.error();
      planned.push_back({block->block, compile(policy), policy.breaker, Family::operations, hasher_(name),
                         false, block->given ? name : ""});
    }
    added = 0;
    for (const auto& [key, user] : target.users) {
      const auto known = now.users.find(key);
      if (known != now.users.end() && known->second == user) continue;
      auto block = find_room(Family::overrides, key, added, planned);
      if (!block) return block.error();
      planned.push_back({block->block,
                         compile(user),
                         {},
                         Family::overrides,
                         hasher_(key),
                         user.exempt,
                         block->given ? key : ""});
    }
    return enough_room(std::move(planned));
  }

  struct Found {
    std::uint32_t block;
    bool given;  ///< from another name
  };

  /// The block of a name, a new one, or where there is none left that of a name that was taken out.
  Result<Found> find_room(Family family, std::string_view name, std::uint32_t& added,
                          const std::vector<Planned>& planned) const {
    auto block = block_for(sections_, family, name, hasher_(name), added);
    if (block) return Found{*block, false};
    const std::uint32_t first = family == Family::operations ? kFirstOperation : kFirstOverride;
    const std::uint32_t most = family == Family::operations ? kMaxOperations : kMaxOverrides;
    const std::vector<bool> held = blocks_held();
    for (std::uint32_t block_index = first; block_index < first + most; ++block_index) {
      const bool free =
          sections_.blocks[block_index].presence(std::memory_order_acquire).retired() && !held[block_index];
      const auto same = [block_index](const Planned& other) { return other.block == block_index; };
      if (free && std::none_of(planned.begin(), planned.end(), same)) return Found{block_index, true};
    }
    return block.error();
  }

  /// Blocks in which somebody holds or owes something.
  [[nodiscard]] std::vector<bool> blocks_held() const {
    std::vector<bool> held(kMaxBlocks, false);
    sections_.for_each_user_entry(segment_, [&](UserLimit entry, std::uint64_t state) {
      const LimitRef ref = LimitRef::of(LimitId{entry.id});
      if (entry.id == 0 || ref.block >= kMaxBlocks || state == 0) return;
      const bool permits = kind_of(ref.index) == LimitKind::permits;
      if (permits || UserRule::of(sections_, ref).debt(state, now_) != 0) held[ref.block] = true;
    });
    for (std::uint32_t block_index = kFirstOperation; block_index < kMaxBlocks; ++block_index) {
      for (const std::uint32_t index : LimitIndices(masks::kShared)) {
        if (is_held(sections_.blocks[block_index].limits[index], index)) held[block_index] = true;
      }
    }
    return held;
  }

  [[nodiscard]] bool is_held(LimitRecord& record, std::uint32_t index) const {
    if (record.params.load(std::memory_order_relaxed) == 0) return false;
    const std::uint64_t state = record.state.load(std::memory_order_relaxed);
    switch (kind_of(index)) {
      case LimitKind::rate:
        return gcra::debt(state, now_) != 0;
      case LimitKind::window:
        return SharedWindow(record, sections_.window_cells, sections_.created_wall_ns).full_in(now_) != 0;
      case LimitKind::permits: {
        const CellRange cells = CellRange::from_word(record.cells.load(std::memory_order_relaxed));
        return Permits(cells.in(sections_.permit_cells)).in_use() != 0;
      }
      case LimitKind::cooldown:
        return cooldown::debt(state, now_) != 0;
      case LimitKind::breaker:
        break;
    }
    return false;
  }

  Result<std::vector<Planned>> enough_room(std::vector<Planned> planned) const {
    Room needed;
    for (const Planned& change : planned) {
      auto room = room_for(sections_, change.block, change.value, now_);
      if (!room) return room.error();
      needed.permit_cells += room->permit_cells;
      needed.window_cells += room->window_cells;
    }
    const auto enough = [](std::string_view what, std::uint64_t wanted, const Word& used,
                           std::span<Word> section) -> Result<void> {
      const std::uint64_t left =
          section.size() - std::min<std::uint64_t>(used.load(std::memory_order_relaxed), section.size());
      if (wanted <= left) return {};
      return fail(Errc::no_space,
                  fmt::format("{}: {} more cells are asked for, this segment has {} left of {}", what, wanted,
                              left, section.size()),
                  "remove the segment and let it be created again with the new limits");
    };
    if (auto room =
            enough("permits", needed.permit_cells, sections_.control->permit_cells, sections_.permit_cells);
        !room)
      return room.error();
    if (auto room =
            enough("windows", needed.window_cells, sections_.control->window_cells, sections_.window_cells);
        !room)
      return room.error();
    return planned;
  }

  // A table that is too small for what limits per user need forgets users, or refuses them.
  Result<void> enough_entries(const Config& now, const Config& target) const {
    const std::uint64_t each = entries_per_user(target);
    const std::uint64_t wanted = target.segment.users * each * 4 / 3 + 1;
    const std::uint64_t has = sections_.users.size() * UserBucket::kEntries;
    if (wanted <= has || each <= entries_per_user(now)) return {};
    return fail(
        Errc::no_space,
        fmt::format("limits of each user: {} entries for each of {} users are {} with their room, this "
                    "segment has {}",
                    each, target.segment.users, wanted, has),
        fmt::format("remove the segment and let it be created again with the new limits, or with "
                    "segment.limits_per_user = {}",
                    each));
  }

  Result<void> write(const Planned& change) {
    Block& block = sections_.blocks[change.block];
    std::array<std::uint64_t, kBlockLimits> before{};
    for (std::uint32_t i = 0; i < kBlockLimits; ++i)
      before[i] = block.limits[i].params.load(std::memory_order_relaxed);
    if (!change.given_to.empty()) {
      forget_users_of(change.block);
      give_block(sections_, change.family, change.block, change.given_to);
    }
    settle_users(change.block);
    store_breaker(sections_, change.block, change.breaker);
    auto changed = write_block(sections_, change.block, change.value, now_);
    if (!changed) return changed.error();
    for (const std::uint32_t index : LimitIndices(*changed)) {
      LimitRecord& where = block.limits[index];
      // Once more: a request may have been charged under the old params until just now.
      if (before[index] != 0 && before[index] != where.params.load(std::memory_order_relaxed))
        where.changed.store(ticks_at(segment_.header(), HostClock::now()), std::memory_order_release);
      carry_over({change.block, index}, before[index]);
    }
    settle_users(change.block);
    if (change.family == Family::overrides) {
      block.exempt.store(change.exempt ? 1 : 0, std::memory_order_relaxed);
    }
    if (change.block != kGlobalBlock) publish_block(sections_, change.family, change.hash, change.block);
    return {};
  }

  // What has been spent under the old value, under the new one. Windows see to that themselves: those over
  // all callers in write_block(), those of users in UserRule.
  void carry_over(LimitRef ref, std::uint64_t before) {
    LimitRecord& record = sections_.blocks[ref.block].limits[ref.index];
    const std::uint64_t after = record.params.load(std::memory_order_relaxed);
    if (before == 0 || before == after || kind_of(ref.index) != LimitKind::rate) return;
    clamp(ref, record, packed::to_token_bucket(after));
  }

  [[nodiscard]] bool has_changed_windows(std::uint32_t block) const {
    bool any = false;
    for (const std::uint32_t index : LimitIndices(masks::kWindows << kScopeLimits)) {
      any = any || sections_.blocks[block].limits[index].before.load(std::memory_order_relaxed) != 0;
    }
    return any;
  }

  // States of users are told from those that were written before the last change, and not from any older
  // ones: so all of them are put into the units of the params in force.
  void settle_users(std::uint32_t block) {
    if (!has_changed_windows(block)) return;
    sections_.modify_user_entries(
        segment_, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
          const LimitRef ref = LimitRef::of(LimitId{entry.id});
          const bool of_a_window = entry.id != 0 && ref.block == block &&
                                   kind_of(ref.index) == LimitKind::window &&
                                   scope_of(ref.index) == LimitScope::user;
          if (!of_a_window) return std::nullopt;
          // The clock after the state: nothing that was written is ahead of it.
          const std::uint64_t now = ticks_at(segment_.header(), HostClock::now());
          const std::uint64_t next = UserRule::of(sections_, ref).settled_for_good(state, now);
          return next == state ? std::nullopt : std::optional(next);
        });
    for (const std::uint32_t index : LimitIndices(masks::kWindows << kScopeLimits)) {
      sections_.blocks[block].limits[index].period.store(0, std::memory_order_relaxed);
    }
  }

  // What a change that was killed left in the middle.
  void finish_last() {
    for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
      finish_block(sections_, block, now_);
      bool unsettled = false;
      for (const std::uint32_t index : LimitIndices(masks::kWindows << kScopeLimits)) {
        const LimitRecord& window = sections_.blocks[block].limits[index];
        unsettled = unsettled || window.period.load(std::memory_order_relaxed) != 0;
      }
      if (unsettled) settle_users(block);
    }
  }

  // Nobody owes more than an empty bucket of the new size.
  void clamp(LimitRef ref, LimitRecord& record, TokenBucketParams params) {
    if (scope_of(ref.index) == LimitScope::shared) return TokenBucket(record.state).clamp(params, now_);
    change_users(ref, [&](std::uint64_t tat) {
      return gcra::debt(tat, now_) > params.depth() ? now_ + params.depth() : tat;
    });
  }

  // What users who owe nothing left behind means nothing to other limits.
  void forget_users_of(std::uint32_t block) {
    sections_.modify_user_entries(
        segment_, [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
          const bool here = entry.id != 0 && LimitRef::of(LimitId{entry.id}).block == block && state != 0;
          return here ? std::optional<std::uint64_t>(0) : std::nullopt;
        });
  }

  template <class Next>
  void change_users(LimitRef ref, Next&& next_of) {
    sections_.modify_user_entries(segment_,
                                  [&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
                                    if (entry.id != static_cast<std::uint16_t>(ref.id())) return std::nullopt;
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

  [[nodiscard]] bool counts_only(std::uint32_t block) const {
    return mode_of(sections_.blocks[block], kBreaker) != Mode::enforced;
  }

  /// Adds to a report what switches change. @return those, of operations that have a breaker afterwards.
  Switches add_switches(ChangeReport& report, const Config& target, const Switches& wanted) {
    Switches turned;
    for (const auto& [operation, position] : wanted) {
      const auto known = target.operations.find(operation);
      if (known == target.operations.end() || !known->second.breaker) continue;
      std::string from = "none";
      if (const std::uint32_t block = find_block(sections_.operation_index, hasher_(operation)); block != 0) {
        const BreakerRecord& record = sections_.breaker(block);
        const BreakerKind kind = record.breaker.status(record.params.load(), now_).kind;
        from = to_string(switch_of(kind, counts_only(block)));
        if (kind == BreakerKind::open) from = "open";
        if (kind == BreakerKind::half_open) from = "half_open";
      }
      if (from == to_string(position)) continue;
      report.changes.push_back({switch_key(operation), from, std::string(to_string(position))});
      turned.emplace(operation, position);
    }
    return turned;
  }

  void turn_switch(std::string_view operation, BreakerSwitch position) {
    const std::uint32_t block = find_block(sections_.operation_index, hasher_(operation));
    if (block != 0) sections_.breaker(block).breaker.set(kind_of(position, counts_only(block)));
  }

  static void fill(ChangeRecord& record, const ConfigChange& change, std::uint64_t generation) {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    record.generation.store(generation, std::memory_order_release);
    record.wall_ns.store(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count()),
        std::memory_order_release);
    record.who.store(std::uint64_t{::getuid()} << 32 | static_cast<std::uint32_t>(::getpid()),
                     std::memory_order_release);
    record.program.store(own_name());
    record.key.store(change.key);
    record.from.store(change.from);
    record.to.store(change.to);
  }

  void record(const ChangeReport& report, std::uint64_t undoes) {
    std::uint64_t sequence = newest_sequence();
    std::uint64_t index = 0;
    for (const ConfigChange& change : report.changes) {
      ++sequence;
      ChangeRecord& record = sections_.history[sequence % kHistoryRecords];
      record.sequence.store(0, std::memory_order_relaxed);  // the stores below publish it
      fill(record, change, report.generation);
      record.undoes.store(undoes, std::memory_order_release);
      record.position.store(std::uint64_t{report.changes.size()} << 32 | index++, std::memory_order_release);
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
  WriterLock lock_;
  KeyHasher hasher_;
  std::uint64_t now_;
};

/// @param else_do  what to do if none of another name was meant.
Error no_such_operation(const Config& now, std::string_view name, std::string_view else_do = "") {
  std::vector<std::string_view> names;
  for (const auto& entry : now.operations) names.push_back(entry.first);
  const std::string_view near = nearest(name, names);
  std::string hint = near.empty() ? std::string() : fmt::format("did you mean \"{}\"?", near);
  if (!hint.empty() && !else_do.empty()) hint += ' ';
  return {Errc::not_found, fmt::format("operation {}: not in segment \"{}\"", quoted(name), now.segment.name),
          hint.append(else_do)};
}

Result<void> no_new_operation(const Config& now, const Config& wanted) {
  for (const auto& entry : wanted.operations) {
    if (now.operations.contains(entry.first)) continue;
    return no_such_operation(now, entry.first, "to make a new operation, say so: --new");
  }
  return {};
}

/// A change, as it lies in the history.
struct Recorded {
  std::uint64_t sequence;
  std::uint32_t together;  ///< changes that were made together
  ChangeEntry entry;
};

/// Newest first.
std::vector<Recorded> read_records(std::span<const ChangeRecord> history) {
  std::vector<Recorded> found;
  for (const ChangeRecord& record : history) {
    const std::uint64_t sequence = record.sequence.load(std::memory_order_acquire);  // sync(record)
    if (sequence == 0) continue;
    const std::uint64_t who = record.who.load(std::memory_order_acquire);
    const auto together = static_cast<std::uint32_t>(record.position.load(std::memory_order_acquire) >> 32);
    ChangeEntry entry{
        record.generation.load(std::memory_order_acquire),
        std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(
                static_cast<std::int64_t>(record.wall_ns.load(std::memory_order_acquire))))),
        static_cast<std::uint32_t>(who >> 32),
        static_cast<std::uint32_t>(who),
        record.program.load(),
        {record.key.load(), record.from.load(), record.to.load()},
        record.undoes.load(std::memory_order_acquire)};
    // relaxed: every load of the record before it was an acquire.
    if (record.sequence.load(std::memory_order_relaxed) == sequence)
      found.push_back({sequence, together, std::move(entry)});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
  return found;
}

/// Takes changes back, from the newest to those of a generation.
class Rollback {
 public:
  Rollback(Config config, std::vector<Recorded> history)
      : config_(std::move(config)), history_(std::move(history)) {}

  /// The newest generation that neither took others back nor was taken back; 0: none.
  [[nodiscard]] std::uint64_t last() const {
    std::uint64_t undone_from = std::numeric_limits<std::uint64_t>::max();
    for (const Recorded& one : history_) {  // newest first
      if (one.entry.generation >= undone_from) continue;
      if (one.entry.undoes == 0) return one.entry.generation;
      undone_from = one.entry.undoes;
    }
    return 0;
  }

  Result<void> take_back(std::uint64_t generation) {
    std::vector<ConfigChange> back;
    std::uint32_t together = 0;
    for (const Recorded& one : history_) {
      if (one.entry.generation != generation) continue;
      together = one.together;
      const ConfigChange& change = one.entry.change;
      if (change.from.size() >= decltype(ChangeRecord::from)::kBytes ||
          change.key.size() >= decltype(ChangeRecord::key)::kBytes) {
        return gone(fmt::format("generation {}: {}: what it was is too long for the history", generation,
                                change.key));
      }
      back.push_back({change.key, change.to, change.from});
    }
    if (back.empty() || back.size() != together) {
      return gone(fmt::format("generation {}: the history holds {} of its changes", generation, back.size()));
    }
    std::erase_if(back, [this](const ConfigChange& change) {
      const auto operation = switched_operation(change.key);
      if (operation) switches_[std::string(*operation)] = switch_named(change.to);
      return operation.has_value();
    });
    if (auto set = apply_changes(config_, back); !set) return set.error();
    return {};
  }

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const Switches& switches() const { return switches_; }

 private:
  static Error gone(std::string fact) {
    return fail(Errc::not_found, std::move(fact), "apply the file that you want instead: shm-inspect apply");
  }

  Config config_;
  Switches switches_;
  std::vector<Recorded> history_;
};

Result<ChangeReport> take_back(Change& change, std::string_view segment, std::optional<std::uint64_t> to,
                               bool dry_run) {
  Rollback rollback(change.current(), read_records(change.sections().history));
  const std::uint64_t now = change.sections().control->generation.load(std::memory_order_acquire);
  const std::uint64_t first = to ? *to + 1 : rollback.last();
  if (first == 0 || first > now) {
    return fail(Errc::not_found, fmt::format("segment \"{}\": no change to take back", segment),
                "see what was changed with: shm-inspect history");
  }
  // What lies between was taken back already, unless a generation was named: then step by step through all.
  for (std::uint64_t generation = to ? now : first; generation >= first; --generation) {
    if (auto back = rollback.take_back(generation); !back) return back.error();
  }
  return change.apply(rollback.config(), dry_run, rollback.switches(), first);
}

}  // namespace

namespace detail {

std::vector<ConfigChange> note_difference(std::string_view segment, const Config& config) {
  auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
  if (!attached) return {};
  auto sections = SectionsView::of(*attached);
  if (!sections) return {};
  std::vector<ConfigChange> differs = difference_between(load_config(*sections, attached->name()), config);
  const bool noted = sections->difference->sequence.load(std::memory_order_relaxed) != 0;
  if (differs.empty() && !noted) return differs;
  // Where another process is changing limits just now, what it leaves will be noted by the next one that
  // opens.
  if (auto change = Change::begin(segment)) change->note(differs);
  return differs;
}

Result<void> apply_limits(std::string_view segment, const Config& config) {
  constexpr int kAttempts = 500;
  for (int attempt = 0;; ++attempt) {
    auto change = Change::begin(segment);
    if (!change) {
      if (change.error().code != Errc::conflict || attempt == kAttempts) return change.error();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it applies the same, as a rule
      continue;
    }
    Config wanted = config;
    wanted.segment = change->current().segment;
    if (auto applied = change->apply(wanted, false); !applied) return applied.error();
    return {};
  }
}

}  // namespace detail

Result<ChangeReport> set_limit(std::string_view segment, std::string_view key, std::string_view value,
                               bool dry_run, bool may_add) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    Config wanted = change->current();
    if (auto set = set_value(wanted, key, value); !set) return set.error();
    if (!may_add) {
      if (auto known = no_new_operation(change->current(), wanted); !known) return known.error();
    }
    return change->apply(wanted, dry_run);
  });
}

Result<ChangeReport> apply_config(std::string_view segment, const Config& config, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    if (auto valid = validate(config); !valid) return valid.error();
    auto change = Change::begin(segment);
    if (!change) return change.error();
    return change->apply(config, dry_run);
  });
}

Result<ChangeReport> roll_back(std::string_view segment, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    return take_back(*change, segment, std::nullopt, dry_run);
  });
}

Result<ChangeReport> roll_back_to(std::string_view segment, std::uint64_t generation, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    return take_back(*change, segment, generation, dry_run);
  });
}

Result<std::vector<ConfigChange>> difference_to(std::string_view segment, const Config& config) noexcept {
  return guarded([&]() -> Result<std::vector<ConfigChange>> {
    auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
    if (!attached) return attached.error();
    auto sections = SectionsView::of(*attached);
    if (!sections) return sections.error();
    return difference_between(load_config(*sections, attached->name()), config);
  });
}

Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept {
  return guarded([&]() -> Result<std::vector<ChangeEntry>> {
    auto attached = Segment::attach(segment, OpenMode::read_only, kAbiFingerprint);
    if (!attached) return attached.error();
    auto sections = SectionsView::of(*attached);
    if (!sections) return sections.error();
    std::vector<ChangeEntry> entries;
    for (Recorded& one : read_records(sections->history)) entries.push_back(std::move(one.entry));
    return entries;
  });
}

Result<ChangeReport> switch_breaker(std::string_view segment, std::string_view operation,
                                    BreakerSwitch position, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    auto change = Change::begin(segment);
    if (!change) return change.error();
    const Config now = change->current();
    const auto known = now.operations.find(operation);
    if (known == now.operations.end()) return no_such_operation(now, operation);
    if (!known->second.breaker) {
      return Error{
          Errc::not_found, fmt::format("operation {}: has no breaker", quoted(operation)),
          "give it one with: shm-inspect set operations.X.breaker '{ failures = 5, recovery = \"60s\" }'"};
    }
    return change->apply(now, dry_run, {{std::string(operation), position}});
  });
}

std::string_view to_string(BreakerSwitch position) noexcept {
  switch (position) {
    case BreakerSwitch::forced_open:
      return "forced_open";
    case BreakerSwitch::forced_closed:
      return "forced_closed";
    case BreakerSwitch::disabled:
      return "disabled";
    case BreakerSwitch::metrics_only:
      return "metrics_only";
    case BreakerSwitch::automatic:
      break;
  }
  return "automatic";
}

}  // namespace weir
