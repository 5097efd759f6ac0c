// weir-replay: what would these limits have done to that access log?

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <memory>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "log_file.hpp"
#include "options.hpp"
#include "replay.hpp"
#include "report.hpp"
#include "workers.hpp"

namespace weir::replay {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Config read_config(const Options& options) {
  Result<Config> config = load_config(options.config);
  if (!config) throw UsageError(config.error().message());
  return *std::move(config);
}

Limiter open_limiter(const Config& config) {
  Result<Limiter> limiter = Limiter::open_private(config);
  if (!limiter) throw std::runtime_error(limiter.error().message());
  return *std::move(limiter);
}

Operation find_operation(const Limiter& limiter, const Config& config, const Options& options) {
  if (const Result<Operation> operation = limiter.operation(options.operation)) return *operation;
  std::string known;
  for (const auto& [name, policy] : config.operations) known += (known.empty() ? "" : ", ") + name;
  throw UsageError(fmt::format(
      "{}: there is no operation \"{}\"; {}", options.config, options.operation,
      known.empty() ? "add one to the file" : fmt::format("choose with --operation one of: {}", known)));
}

File open_decisions(const Options& options) {
  File file(nullptr, &std::fclose);
  if (options.decisions.empty()) return file;
  std::error_code ignored;  // one of them does not exist, so they are not the same
  if (std::filesystem::equivalent(options.decisions, options.log, ignored)) {
    throw UsageError("--decisions names the log itself; name another file");
  }
  file.reset(std::fopen(options.decisions.c_str(), "we"));
  if (!file) throw std::runtime_error(fmt::format("\"{}\": {}", options.decisions, std::strerror(errno)));
  return file;
}

// Buffered bytes may fail as late as here: a full disk must not pass for success.
void finish(std::FILE* file, const std::string& name) {
  if (std::fflush(file) == 0 && std::ferror(file) == 0) return;
  throw std::runtime_error(fmt::format("{}: {}", name, std::strerror(errno)));
}

// A table too small forgets users who owe something, so the answer would be too kind.
void warn_of_a_small_table(const Config& config, const Options& options, const Report& report) {
  const OperationPolicy& operation = config.operations.find(options.operation)->second;
  const bool limits_users = !config.global.user.rates.empty() || !operation.user.rates.empty();
  if (!limits_users || report.users <= config.segment.users) return;
  fmt::print(stderr, "weir-replay: warning: {} users, but segment.users is {}; raise it in {} to be sure\n",
             report.users, config.segment.users, options.config);
}

void replay(const Options& options) {
  const Config config = read_config(options);
  Limiter limiter = open_limiter(config);
  const Operation operation = find_operation(limiter, config, options);
  const LogFile log(options.log);
  const File decisions = open_decisions(options);

  const Scenario scenario{limiter, operation, HostClock::now(), log.bytes(), decisions.get()};
  const Tally tally = replay_log(scenario, options.workers);
  if (decisions) finish(decisions.get(), options.decisions);

  Report report = make_report(tally, limiter);
  report.log = options.log == "-" ? "standard input" : options.log;
  report.operation = options.operation;
  warn_of_a_small_table(config, options, report);
  fmt::print("{}", options.json ? to_json(report) : to_text(report));
  finish(stdout, "standard output");
}

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  replay(std::get<Options>(parsed));
  return 0;
}

}  // namespace
}  // namespace weir::replay

int main(int argc, char** argv) {
  try {
    return weir::replay::run(argc, argv);
  } catch (const weir::replay::UsageError& error) {
    fmt::print(stderr, "weir-replay: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "weir-replay: {}\n", error.what());
    return 1;
  }
}
