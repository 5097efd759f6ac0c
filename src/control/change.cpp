// SPDX-License-Identifier: Apache-2.0
#include "control/change.hpp"

#include <array>
#include <fmt/format.h>

#include "weir/config.hpp"

#include "control/difference.hpp"
#include "control/history.hpp"
#include "control/limits_begin.hpp"
#include "control/owed.hpp"
#include "policy/block_names.hpp"
#include "policy/compile.hpp"
#include "policy/events.hpp"
#include "policy/queues.hpp"
#include "policy/reset.hpp"
#include "policy/stored_config.hpp"
#include "policy/turn.hpp"
#include "policy/write_block.hpp"

namespace weir::detail {

namespace {

/// A key for the journal, which names no users: one of a user's own limits is cut behind "overrides".
std::string_view without_user(std::string_view key) {
  constexpr std::string_view kOverrides = "overrides";
  return key.starts_with(kOverrides) ? kOverrides : key;
}

}  // namespace

Result<Change> Change::begin(std::string_view segment) {
  WEIR_TRY(auto running, RunningSegment::open(segment));
  WEIR_TRY(auto lock, take_writer_lock(running.segment));
  running.now = running.ticks_now();  // read under the lock, so no time that an earlier change wrote is later
  Change change(std::move(running), std::move(lock));
  Word& turn = change.sections().control->turn;
  if (is_being_changed(turn.load(std::memory_order_relaxed))) {
    const ChangeOfLimits killed(turn);
    change.finish_last();
  }
  return change;
}

Result<ChangeReport> Change::apply(const Config& wanted, bool dry_run, const Switches& switches,
                                   std::uint64_t undoes) {
  const Config now = current();
  WEIR_TRY_VOID(same_settings(now.segment, wanted.segment));
  Config target = canonical(wanted);
  target.segment = now.segment;
  Control& control = *sections().control;
  ChangeReport report{control.generation.load(std::memory_order_relaxed), config_difference(now, target), {}};
  const Switches turned = add_switches(report, target, switches);
  if (report.changes.empty()) return report;
  WEIR_TRY(const auto planned, plan_change(running_, now, target));
  if (dry_run) return report;
  {
    const ChangeOfLimits changing(control.turn);
    ++report.generation;
    append(sections().history, report, undoes);
    write_event(sections(),
                {.kind = undoes == 0 ? EventKind::changed : EventKind::rolled_back,
                 .value = report.generation,
                 .of = report.changes.size(),
                 .subject = without_user(report.changes.front().key)},
                ask_process_mark());
    for (const PlannedBlock& change : planned) WEIR_TRY_VOID(write(change));
    retire_missing(now, target);
    for (const auto& [operation, position] : turned) turn_switch(operation, position);
    control.generation.store(report.generation, std::memory_order_release);
  }
  ring_all_waiters(sections());
  return report;
}

Result<ResetReport> Change::reset(std::string_view operation, std::string_view user, bool dry_run) {
  UserTable users(sections().users, sections().user_counters);
  const UserKey key = users.key(running_.hasher(user));
  std::uint32_t block = kGlobalBlock;
  std::string what(kReset);
  if (!operation.empty()) {
    block = find(sections().operation_index, operation);
    what += fmt::format(" operations.{}", operation);
  }
  if (!user.empty()) what += fmt::format(" users.#{:012x}", key.tag_hash);
  const auto reset = [&](bool only_count) {
    if (!user.empty()) return reset_user(sections(), users, key, only_count);
    if (!operation.empty()) return reset_block(running_.segment, sections(), block, only_count);
    return reset_all(running_.segment, sections(), only_count);
  };
  const ResetReport expected = reset(true);
  if (dry_run) return expected;
  Control& control = *sections().control;
  const std::uint64_t before = control.generation.load(std::memory_order_relaxed);
  append(
      sections().history,
      {before + 1,
       {{what, fmt::format("{} limits, {} entries of users", expected.limits, expected.users), "never seen"}},
       {}},
      0);
  // A reset changes no limit, so what is known of how they differ from a file stays true.
  Word& compared = sections().difference->generation;
  if (compared.load(std::memory_order_relaxed) == before)
    compared.store(before + 1, std::memory_order_release);
  control.generation.store(before + 1, std::memory_order_release);
  const ResetReport report = reset(false);
  what.erase(0, kReset.size() + 1);  // "reset users.#0123456789ab", or "reset" alone
  write_reset(sections(), what, report);
  return report;
}

// Finishes a change that was killed half-way.
void Change::finish_last() {
  finish_publishing(sections());
  for (std::uint32_t block = 0; block < kMaxBlocks; ++block) {
    finish_block(sections(), block, running_.now);
    finish_beginning(running_, sections().blocks[block]);
    bool unsettled = false;
    for (const std::uint32_t index : LimitIndices(masks::kWindows << kScopeLimits)) {
      const LimitRecord& window = sections().blocks[block].limits[index];
      unsettled = unsettled || window.period.load(std::memory_order_relaxed) != 0;
    }
    if (unsettled) settle_users(running_, block);
  }
}

Result<void> Change::write(const PlannedBlock& change) {
  Block& block = sections().blocks[change.block];
  std::array<std::uint64_t, kBlockLimits> before{};
  for (std::uint32_t i = 0; i < kBlockLimits; ++i)
    before[i] = block.limits[i].params.load(std::memory_order_relaxed);
  if (!change.given_to.empty()) {
    forget_users_of(running_, change.block);
    give_block(sections(), change.family, change.block, change.given_to);
  }
  settle_users(running_, change.block);
  store_breaker(sections(), change.block, change.breaker);
  WEIR_TRY(const Written written, write_block(sections(), change.block, change.value, running_.now));
  // After the turn has moved: every request that was charged without these limits was charged before this.
  if (written.begun != 0) block.limits_since.store(running_.ticks_now(), std::memory_order_release);
  for (const std::uint32_t index : LimitIndices(written.changed)) {
    LimitRecord& where = block.limits[index];
    // Store the time again, since requests may have been charged under the old params until now.
    if (before[index] != 0 && before[index] != where.params.load(std::memory_order_relaxed))
      where.changed.store(running_.ticks_now(), std::memory_order_release);
    carry_over(running_, {change.block, index}, before[index]);
  }
  settle_users(running_, change.block);
  // crash before: see load_config(). No decision reads this word.
  block.exempt.store(change.exempt ? 1 : 0, std::memory_order_release);
  if (change.block != kGlobalBlock) publish_block(sections(), change.family, change.hash, change.block);
  return {};
}

void Change::retire_missing(const Config& now, const Config& target) {
  for (const auto& entry : now.operations) {
    if (target.operations.contains(entry.first)) continue;
    if (const std::uint32_t block = find(sections().operation_index, entry.first); block != 0)
      retire_block(sections(), block);
  }
  std::vector<std::uint32_t> users;
  for (const auto& entry : now.users) {
    if (target.users.contains(entry.first)) continue;
    if (const std::uint32_t block = find(sections().override_index, entry.first); block != 0)
      users.push_back(block);
  }
  retire_own_limits(running_, users);
}

std::uint32_t Change::find(BlockIndex index, std::string_view name) const {
  return find_block(index, running_.hasher(name));
}

bool Change::counts_only(std::uint32_t block) const {
  return mode_of(sections().blocks[block], kBreaker) != Mode::enforced;
}

/// Adds to a report the switches that change. @return them; switches of operations without a breaker are left out.
Switches Change::add_switches(ChangeReport& report, const Config& target, const Switches& wanted) {
  Switches turned;
  for (const auto& [operation, position] : wanted) {
    const auto known = target.operations.find(operation);
    if (known == target.operations.end() || !known->second.breaker) continue;
    std::string from = "none";
    if (const std::uint32_t block = find(sections().operation_index, operation); block != 0) {
      const BreakerRecord& record = sections().breaker(block);
      const BreakerKind kind = record.breaker.status(record.params.load(), running_.now).kind;
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

void Change::turn_switch(std::string_view operation, BreakerSwitch position) {
  const std::uint32_t block = find(sections().operation_index, operation);
  if (block == 0) return;
  const BreakerTransition done = sections().breaker(block).breaker.set(kind_of(position, counts_only(block)));
  write_transition(sections(), block, done, running_.now, ask_process_mark());
}

}  // namespace weir::detail
