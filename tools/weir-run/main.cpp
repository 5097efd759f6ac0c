// SPDX-License-Identifier: Apache-2.0

// weir-run: runs a command under the limits of a segment, for jobs that do not link the library.

#include <utility>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

#include "command.hpp"
#include "common/failure.hpp"
#include "common/output.hpp"
#include "options.hpp"
#include "refusal.hpp"

namespace weir::runner {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

Config configured(const Options& options) {
  Result<Config> config = load_config(*options.config);
  // A missing file is not a missing segment, and must not have its exit status.
  if (!config) throw Failure(kUsage, config.error().message());
  if (options.segment) config->segment.name = *options.segment;
  return *std::move(config);
}

Limiter open_limiter(const Options& options) {
  Result<Limiter> limiter =
      options.config ? Limiter::open(configured(options)) : Limiter::attach(*options.segment);
  if (!limiter) throw Failure(limiter.error());
  return *std::move(limiter);
}

Operation find_operation(const Limiter& limiter, const Options& options) {
  const Result<Operation> operation = limiter.operation(options.operation);
  if (!operation) throw Failure(operation.error());
  return *operation;
}

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const Options& options = std::get<Options>(parsed);

  Limiter limiter = open_limiter(options);
  const Operation operation = find_operation(limiter, options);
  // Jobs that were killed just now must not count any more; admit() alone looks for them only once in 10 ms.
  limiter.reap();
  Admission admission = limiter.admit(operation, options.request());
  if (!admission) throw Failure(status_of(admission, options), describe(admission, limiter, options));
  const int status = run_command(options.command, options.when_killed());
  admission.report(status == 0 ? Outcome::success : Outcome::failure);  // the operation's breaker counts it
  return status;
}

}  // namespace
}  // namespace weir::runner

int main(int argc, char** argv) {
  return weir::tools::run_tool("weir-run", argc, argv, weir::runner::run);
}
