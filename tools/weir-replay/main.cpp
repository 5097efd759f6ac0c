// SPDX-License-Identifier: Apache-2.0

// weir-replay answers: what would these limits have done to that access log?

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <optional>

#include "weir/config.hpp"
#include "weir/limiter.hpp"
#include "weir/text.hpp"

#include "common/output.hpp"
#include "hint.hpp"
#include "log_source.hpp"
#include "names.hpp"
#include "options.hpp"
#include "replay.hpp"
#include "report.hpp"
#include "routes.hpp"
#include "timeline.hpp"
#include "workers.hpp"

namespace weir::replay {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// How many requests of standard input are held at once to be sorted: about 10 MB.
constexpr std::size_t kWindow = std::size_t{1} << 18;

Config read_config(const Options& options) {
  Result<Config> config = load_config(options.config);
  if (!config) throw UsageError(config.error().message());
  return *std::move(config);
}

void check_operations(const Config& config, const Options& options, const Routes& routes) {
  std::string known;
  for (const auto& [name, policy] : config.operations) known += (known.empty() ? "" : ", ") + name;
  for (std::size_t i = routes.has_otherwise() ? 0 : 1; i < routes.operations().size(); ++i) {
    const std::string& name = routes.operations()[i];
    if (config.operations.find(name) != config.operations.end()) continue;
    throw UsageError(fmt::format(
        "{}: there is no operation \"{}\"; {}", options.config, name,
        known.empty() ? "add one to the file" : fmt::format("choose with --operation one of: {}", known)));
  }
}

std::vector<LogSource> open_logs(const Options& options) {
  std::vector<LogSource> logs;
  for (const std::string& path : options.logs) {
    LogSource& log = logs.emplace_back(path);
    for (std::size_t i = 0; i + 1 < logs.size(); ++i) {
      if (!logs[i].is_same_file_as(log)) continue;
      throw UsageError(fmt::format("\"{}\" and \"{}\" are the same log; name it once", logs[i].name(), path));
    }
  }
  return logs;
}

File open_decisions(const Options& options) {
  File file(nullptr, &std::fclose);
  if (options.decisions.empty()) return file;
  std::vector<std::string> inputs = options.logs;
  inputs.push_back(options.config);
  for (const std::string& input : inputs) {
    std::error_code ignored;  // one of them does not exist, so they are not the same
    if (!std::filesystem::equivalent(options.decisions, input, ignored)) continue;
    throw UsageError(fmt::format("--decisions names \"{}\", which is a log; name another file", input));
  }
  file.reset(std::fopen(options.decisions.c_str(), "we"));
  if (!file) throw std::runtime_error(fmt::format("\"{}\": {}", options.decisions, std::strerror(errno)));
  return file;
}

// Buffered bytes may fail as late as here, and a full disk must not pass for success.
void finish(std::FILE* file, const std::string& name) {
  if (std::fflush(file) == 0 && std::ferror(file) == 0) return;
  throw std::runtime_error(fmt::format("{}: {}", name, std::strerror(errno)));
}

// If a log was not understood, there is no answer, and "0 % refused" would be wrong.
[[noreturn]] void fail_to_understand(const ReadingNotes& notes, const std::vector<LogSource>& logs) {
  constexpr std::size_t kExcerpt = 120;
  const BadLine& first = notes.first_unparsed;
  throw std::runtime_error(fmt::format("log \"{}\": none of {} lines is a request; line {} is \"{}\": {}",
                                       logs[first.log].name(), notes.lines, first.line,
                                       printable(first.text, kExcerpt), hint_for(first.text)));
}

void warn(const Config& config, const Options& options, const Routes& routes, const Report& report) {
  // A table that is too small forgets users who owe something, so the answer would be too lenient.
  if (keeps_users(config, routes) && report.users > config.segment.users) {
    tools::complain("weir-replay",
                    fmt::format("warning: {} users, but segment.users is {}; raise it in {} to be sure",
                                report.users, config.segment.users, options.config));
  }
  if (report.counts.requests > 0 && report.notes.nameless == report.counts.requests) {
    tools::complain(
        "weir-replay",
        fmt::format("warning: no request has what --user {} asks for, so limits per user were not applied",
                    options.user_text));
  }
}

std::vector<Operation> handles_of(const Limiter& limiter, const Routes& routes) {
  std::vector<Operation> handles;
  for (const std::string& name : routes.operations()) {
    const Result<Operation> handle = limiter.operation(name);
    handles.push_back(handle ? *handle : Operation{});  // for requests that match no route, if there are none
  }
  return handles;
}

void replay(const Options& options) {
  const Config config = read_config(options);
  const Routes routes(options.routes, options.operation);
  check_operations(config, options, routes);
  std::vector<LogSource> logs = open_logs(options);
  const File decisions = open_decisions(options);

  Names names(options.prefix4, options.prefix6);
  const bool endless = options.logs == std::vector<std::string>{"-"};
  Timeline timeline(logs, names, routes, {options.user, options.sort, endless ? kWindow : 0});
  std::optional<Limiter> limiter;
  std::vector<Operation> handles;
  Tally tally;
  for (auto requests = timeline.next(); !requests.empty(); requests = timeline.next()) {
    if (!limiter) {
      limiter = open_limiter(without_permits_and_breakers(config), timeline.first());
      handles = handles_of(*limiter, routes);
    }
    const Scenario scenario{*limiter, handles, names, logs, decisions.get()};
    tally.merge(decide_together(scenario, requests, options.workers));
  }
  if (decisions) finish(decisions.get(), options.decisions);
  if (timeline.notes().lines > 0 && tally.all.requests == 0) fail_to_understand(timeline.notes(), logs);

  const Report report =
      make_report({options, config, logs, names, routes, timeline, tally, limiter ? &*limiter : nullptr});
  warn(config, options, routes, report);
  fmt::print("{}", options.json ? to_json(report) : to_text(report));
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
  return weir::tools::run_tool("weir-replay", argc, argv, weir::replay::run);
}
