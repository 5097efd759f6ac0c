// SPDX-License-Identifier: Apache-2.0
#include "commands.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/text.hpp"

#include "common/failure.hpp"
#include "common/output.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

template <class T>
T taken(Result<T> result) {
  if (!result) throw Failure(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

LoadedConfig loaded(const Options& options) {
  const auto path = options.config == "builtin" ? std::nullopt : std::optional(options.config);
  Result<LoadedConfig> result = load_effective_config(path, process_environment());
  // Not a missing segment, and so not the status of one.
  if (!result) throw Failure(kUsage, result.error().message());
  if (!options.segment) return *std::move(result);

  result->config.segment.name = *options.segment;
  if (const Result<void> valid = validate(result->config); !valid) throw Failure(valid.error());
  for (ConfigValue& value : result->values) {
    if (value.key == "segment.name") value.origin = "--segment or WEIR_SEGMENT";
  }
  return *std::move(result);
}

void create(const Options& options) {
  const Config config = loaded(options).config;
  const bool existed = static_cast<bool>(Limiter::attach(config.segment.name));
  const Limiter limiter = taken(Limiter::open(config));
  fmt::print(
      "segment \"{}\": {}\n", config.segment.name,
      existed ? "exists already, and goes on with its limits; to change them: shm-inspect apply" : "created");
}

void check(const Options& options) {
  const LoadedConfig config = loaded(options);
  const std::vector<Remark> remarks = remarks_on(config.config);
  fmt::print("{}", options.json ? render_json(config, remarks) : to_toml(config));
  if (options.json) return;
  for (const auto& [key, warning, text] : remarks)
    complain("shm-inspect", fmt::format("{}: {}: {}", warning ? "warning" : "note", key, text));
}

void list(const Options& options) {
  const std::vector<SegmentEntry> entries = taken(list_segments());
  fmt::print("{}", options.json ? render_json(entries) : render_list(entries));
}

void status(const Options& options) {
  const Snapshot snapshot = taken(take_snapshot(options.segment_or_default()));
  fmt::print("{}", options.json ? render_json(snapshot) : render_text(snapshot, wants_colours()));
}

void workers(const Options& options) {
  const Snapshot snapshot = taken(take_snapshot(options.segment_or_default()));
  fmt::print("{}", options.json ? render_json(snapshot) : render_workers(snapshot, wants_colours()));
}

void reap(const Options& options) {
  const std::string name = options.segment_or_default();
  const ReapReport report = taken(Limiter::attach(name)).reap();
  fmt::print("segment \"{}\": {} dead workers swept, {} permits taken back\n", name, report.workers,
             report.permits);
}

void reset(const Options& options) {
  if (options.operation && options.user) {
    throw Failure(kUsage,
                  "reset: --operation and --user together; give one of them, or neither to reset everything");
  }
  const std::string name = options.segment_or_default();
  const ResetReport report =
      taken(reset_limits(name, options.operation.value_or(""), options.user.value_or(""), options.dry_run));
  if (options.json) {
    fmt::print("{}", render_json(report, options.dry_run));
    return;
  }
  fmt::print("segment \"{}\": {}reset {} shared limits and {} entries of users\n", name,
             options.dry_run ? "would " : "", report.limits, report.users);
  if (options.dry_run) fmt::print("nothing was changed (--dry-run)\n");
}

void users(const Options& options) {
  const UserQuery query{options.top, options.operation.value_or(""), options.by};
  const std::vector<UserEntry> shown = taken(list_users(options.segment_or_default(), query));
  fmt::print("{}", options.json ? render_json(shown) : render_users(shown, wants_colours()));
}

void user(const Options& options) {
  const std::vector<UserEntry> entries = taken(look_up_user(options.segment_or_default(), *options.user));
  fmt::print("{}", options.json ? render_json(entries) : render_users(entries, wants_colours()));
}

void show(const Options& options, const ChangeReport& report) {
  fmt::print("{}",
             options.json ? render_json(report, options.dry_run) : render_changes(report, options.dry_run));
}

void switch_breaker(const Options& options, const std::string& operation) {
  constexpr std::array<std::string_view, 5> kPositions{"automatic", "forced_open", "forced_closed",
                                                       "disabled", "metrics_only"};
  const auto found = std::find(kPositions.begin(), kPositions.end(), options.value);
  if (found == kPositions.end()) {
    throw Failure(
        kUsage,
        fmt::format(
            "{}: \"{}\" is not a breaker state; use automatic, forced_open, forced_closed, disabled or "
            "metrics_only",
            printable(options.key), printable(options.value)));
  }
  const auto position = static_cast<BreakerSwitch>(found - kPositions.begin());
  show(options,
       taken(weir::switch_breaker(options.segment_or_default(), operation, position, options.dry_run)));
}

/// The operation whose breaker a key switches, in quotes or without; nothing if the key is another one.
std::optional<std::string_view> switched_operation(std::string_view key) {
  constexpr std::string_view kOperations = "operations.";
  constexpr std::string_view kState = ".breaker.state";
  if (!key.starts_with(kOperations) || !key.ends_with(kState)) return std::nullopt;
  if (key.size() < kOperations.size() + kState.size()) return std::nullopt;
  std::string_view name = key.substr(kOperations.size(), key.size() - kOperations.size() - kState.size());
  const bool quoted =
      name.size() >= 2 && name.front() == name.back() && (name.front() == '"' || name.front() == '\'');
  return quoted ? name.substr(1, name.size() - 2) : name;
}

void set(const Options& options) {
  if (const auto operation = switched_operation(options.key))
    return switch_breaker(options, std::string(*operation));
  show(options, taken(set_limit(options.segment_or_default(), options.key, options.value, options.dry_run,
                                options.may_add)));
}

void apply(const Options& options) {
  const Config config = loaded(options).config;
  show(options, taken(apply_config(config.segment.name, config, options.dry_run)));
}

void rollback(const Options& options) {
  const std::string segment = options.segment_or_default();
  const Result<ChangeReport> report = options.generation
                                          ? roll_back_to(segment, *options.generation, options.dry_run)
                                          : roll_back(segment, options.dry_run);
  // The command was right, but there is nothing to take back.
  if (!report && !options.generation && report.error().code == Errc::not_in_segment)
    throw Failure(kFailed, report.error().message());
  show(options, taken(report));
}

void history(const Options& options) {
  const std::vector<ChangeEntry> entries = taken(change_history(options.segment_or_default()));
  fmt::print("{}", options.json ? render_json(entries) : render_history(entries));
}

void remove(const Options& options) {
  const std::string name = options.segment_or_default();
  if (const Result<void> removed = remove_segment(name); !removed) throw Failure(removed.error());
  fmt::print("segment \"{}\": removed\n", name);
}

}  // namespace

void run_command(const Options& options) {
  switch (options.command) {
    case Command::create:
      return create(options);
    case Command::check:
      return check(options);
    case Command::keys:
      return fmt::print("{}", config_reference());
    case Command::list:
      return list(options);
    case Command::status:
      return status(options);
    case Command::workers:
      return workers(options);
    case Command::users:
      return users(options);
    case Command::user:
      return user(options);
    case Command::set:
      return set(options);
    case Command::apply:
      return apply(options);
    case Command::rollback:
      return rollback(options);
    case Command::history:
      return history(options);
    case Command::reset:
      return reset(options);
    case Command::reap:
      return reap(options);
    case Command::remove:
      return remove(options);
    case Command::fields:
      fmt::print("{}", options.markdown ? render_fields_markdown() : render_fields());
      return;
  }
}

}  // namespace weir::shm_inspect
