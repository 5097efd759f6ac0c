#include "commands.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>
#include <utility>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "common/failure.hpp"
#include "printable.hpp"
#include "render.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): how all tools fail
namespace {

template <class T>
T taken(Result<T> result) {
  if (!result) throw Failure(result.error());
  return *std::move(result);
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
  fmt::print("segment \"{}\": {}\n", config.segment.name,
             existed ? "exists already, with these limits" : "created");
}

void check(const Options& options) {
  const LoadedConfig config = loaded(options);
  fmt::print("{}", options.json ? render_json(config) : to_toml(config));
}

void status(const Options& options) {
  const Snapshot snapshot = taken(take_snapshot(options.segment_or_default()));
  const bool colours = ::isatty(STDOUT_FILENO) == 1;
  fmt::print("{}", options.json ? render_json(snapshot) : render_text(snapshot, colours));
}

void workers(const Options& options) {
  const Snapshot snapshot = taken(take_snapshot(options.segment_or_default()));
  const bool colours = ::isatty(STDOUT_FILENO) == 1;
  fmt::print("{}", options.json ? render_json(snapshot) : render_workers(snapshot, colours));
}

void reap(const Options& options) {
  const std::string name = options.segment_or_default();
  const ReapReport report = taken(Limiter::attach(name)).reap();
  fmt::print("segment \"{}\": {} dead workers swept, {} permits taken back\n", name, report.workers,
             report.permits);
}

Operation find_operation(const Limiter& limiter, const std::string& name) {
  const Result<Operation> operation = limiter.operation(name);
  // Not a missing segment, and so not the status of one.
  if (!operation) throw Failure(kUsage, operation.error().message());
  return *operation;
}

void reset(const Options& options) {
  if (options.operation && options.user) {
    throw Failure(kUsage,
                  "reset: --operation and --user together; give one of them, or neither to reset everything");
  }
  const std::string name = options.segment_or_default();
  Limiter limiter = taken(Limiter::attach(name));
  const ResetReport report = options.operation ? limiter.reset(find_operation(limiter, *options.operation))
                             : options.user    ? limiter.reset_user(*options.user)
                                               : limiter.reset();
  fmt::print("segment \"{}\": reset {} shared limits and {} entries of users\n", name, report.limits,
             report.users);
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
    case Command::status:
      return status(options);
    case Command::workers:
      return workers(options);
    case Command::reset:
      return reset(options);
    case Command::reap:
      return reap(options);
    case Command::remove:
      return remove(options);
  }
}

}  // namespace weir::shm_inspect
