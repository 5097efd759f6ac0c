// SPDX-License-Identifier: Apache-2.0
#include "configured.hpp"

#include <optional>
#include <utility>

#include "common/arguments.hpp"
#include "common/failure.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

constexpr const char* kEnvironment =
    "Variables of the environment replace values of the file. A key of the file becomes a name with\n"
    "\"__\" for its dots: WEIR_GLOBAL__RATE=\"60/min\", WEIR_OPERATIONS__IMAGE_RESIZE__RATE, ...\n"
    "These names set values of [defaults]: RATE_LIMIT_REQUESTS_PER_MINUTE, RATE_LIMIT_REQUESTS_PER_HOUR,\n"
    "RATE_LIMIT_BURST_LIMIT, MAX_CONCURRENT_REQUESTS, MAX_CONCURRENT_PER_USER, CONCURRENCY_TIMEOUT,\n"
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD, CIRCUIT_BREAKER_RECOVERY_TIMEOUT.";

}  // namespace

CLI::Option* add_config(CLI::App& command, std::string& config) {
  command.footer(kEnvironment);
  return command.add_option("CONFIG", config, "a TOML file, or the word builtin")->check(kNotEmpty);
}

LoadedConfig loaded(const std::string& config, const Common& common) {
  const auto path = config == "builtin" ? std::nullopt : std::optional(config);
  Result<LoadedConfig> result = load_effective_config(path, process_environment());
  // Not a missing segment, and so not the status of one.
  if (!result) throw Failure(kUsage, result.error().message());
  if (!common.segment) return *std::move(result);

  result->config.segment.name = *common.segment;
  if (const Result<void> valid = validate(result->config); !valid) throw Failure(valid.error());
  for (ConfigValue& value : result->values) {
    if (value.key == "segment.name") value.origin = "--segment or WEIR_SEGMENT";
  }
  return *std::move(result);
}

}  // namespace weir::shm_inspect
