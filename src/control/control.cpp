// SPDX-License-Identifier: Apache-2.0
#include "weir/control.hpp"

#include <fmt/format.h>
#include <optional>

#include "base/result.hpp"
#include "base/text.hpp"
#include "control/change.hpp"
#include "control/difference.hpp"
#include "control/history.hpp"
#include "control/rollback.hpp"
#include "policy/schema.hpp"
#include "policy/stored_config.hpp"
#include "segment/mapping.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): this file uses names of many layers

/// @param else_do  the hint for an operator who did not mistype the name.
Error no_such_operation(const Config& now, std::string_view name, std::string_view else_do = "") {
  std::vector<std::string_view> names;
  for (const auto& entry : now.operations) names.push_back(entry.first);
  const std::string_view near = nearest(name, names);
  std::string hint = near.empty() ? std::string() : fmt::format("did you mean \"{}\"?", near);
  if (!hint.empty() && !else_do.empty()) hint += ' ';
  return {Errc::not_in_segment,
          fmt::format("operation {}: not in segment \"{}\"", quoted(name), now.segment.name),
          hint.append(else_do)};
}

Result<void> no_new_operation(const Config& now, const Config& wanted) {
  for (const auto& entry : wanted.operations) {
    if (now.operations.contains(entry.first)) continue;
    return no_such_operation(now, entry.first, "to make a new operation, say so: --new");
  }
  return {};
}

/// @param to  the generation to go back to; without one, the last change is taken back.
Result<ChangeReport> take_back(std::string_view segment, std::optional<std::uint64_t> to, bool dry_run) {
  WEIR_TRY(auto change, Change::begin(segment));
  Rollback rollback(change.current(), read_history(change.sections().history));
  const std::uint64_t now = change.sections().control->generation.load(std::memory_order_acquire);
  if (to && *to > now) {
    return fail(
        Errc::not_in_segment,
        fmt::format("segment \"{}\": there is no generation {} yet, the last one is {}", segment, *to, now),
        "see what was changed with: shm-inspect history");
  }
  const std::uint64_t first = to ? *to + 1 : rollback.last();
  if (first == 0) return rollback.nothing_left(segment);
  // If no generation was named, all changes after rollback.last() have been taken back already. Otherwise every
  // generation after the named one is taken back, one by one.
  for (std::uint64_t generation = to ? now : first; generation >= first; --generation) {
    WEIR_TRY_VOID(rollback.take_back(generation));
  }
  WEIR_TRY(ChangeReport report, change.apply(rollback.config(), dry_run, rollback.switches(), first));
  report.resets = rollback.resets_since(first);
  return report;
}

}  // namespace

Result<ChangeReport> set_limit(std::string_view segment, std::string_view key, std::string_view value,
                               bool dry_run, bool may_add) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    WEIR_TRY(auto change, Change::begin(segment));
    Config wanted = change.current();
    WEIR_TRY_VOID(set_value(wanted, key, value));
    if (!may_add) WEIR_TRY_VOID(no_new_operation(change.current(), wanted));
    return change.apply(wanted, dry_run);
  });
}

Result<ChangeReport> apply_config(std::string_view segment, const Config& config, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    WEIR_TRY_VOID(validate(config));
    WEIR_TRY(auto change, Change::begin(segment));
    return change.apply(config, dry_run);
  });
}

Result<ChangeReport> roll_back(std::string_view segment, bool dry_run) noexcept {
  return guarded([&] { return take_back(segment, std::nullopt, dry_run); });
}

Result<ChangeReport> roll_back_to(std::string_view segment, std::uint64_t generation, bool dry_run) noexcept {
  return guarded([&] { return take_back(segment, generation, dry_run); });
}

Result<ResetReport> reset_limits(std::string_view segment, std::string_view operation, std::string_view user,
                                 bool dry_run) noexcept {
  return guarded([&]() -> Result<ResetReport> {
    if (!operation.empty() && !user.empty()) {
      return fail(Errc::invalid_argument, "a reset of an operation and of a user",
                  "name one of them, or neither to reset everything");
    }
    WEIR_TRY(auto change, Change::begin(segment));
    const Config now = change.current();
    if (!operation.empty() && !now.operations.contains(operation)) return no_such_operation(now, operation);
    return change.reset(operation, user, dry_run);
  });
}

Result<std::vector<ConfigChange>> difference_to(std::string_view segment, const Config& config) noexcept {
  return guarded([&]() -> Result<std::vector<ConfigChange>> {
    WEIR_TRY(const auto attached, Segment::attach(segment, OpenMode::read_only, kAbiFingerprint));
    WEIR_TRY(const auto sections, SectionsView::of(attached));
    return difference_between(load_config(sections, attached.name()), config);
  });
}

Result<std::vector<ChangeEntry>> change_history(std::string_view segment) noexcept {
  return guarded([&]() -> Result<std::vector<ChangeEntry>> {
    WEIR_TRY(const auto attached, Segment::attach(segment, OpenMode::read_only, kAbiFingerprint));
    WEIR_TRY(const auto sections, SectionsView::of(attached));
    std::vector<ChangeEntry> entries;
    for (RecordedChange& one : read_history(sections.history)) entries.push_back(std::move(one.entry));
    return entries;
  });
}

Result<ChangeReport> switch_breaker(std::string_view segment, std::string_view operation,
                                    BreakerSwitch position, bool dry_run) noexcept {
  return guarded([&]() -> Result<ChangeReport> {
    WEIR_TRY(auto change, Change::begin(segment));
    const Config now = change.current();
    const auto known = now.operations.find(operation);
    if (known == now.operations.end()) return no_such_operation(now, operation);
    if (!known->second.breaker) {
      return Error{
          Errc::not_in_segment, fmt::format("operation {}: has no breaker", quoted(operation)),
          "give it one with: shm-inspect set operations.X.breaker '{ failures = 5, recovery = \"60s\" }'"};
    }
    return change.apply(now, dry_run, {{std::string(operation), position}});
  });
}

}  // namespace weir
