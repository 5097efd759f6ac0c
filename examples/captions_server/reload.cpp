// SPDX-License-Identifier: Apache-2.0
#include "reload.hpp"

#include <fmt/format.h>

#include "weir/control.hpp"

#include "routes.hpp"
#include "stdio.hpp"

namespace captions {

weir::Result<weir::Config> load_limits(const std::string& file, std::string_view segment) {
  auto config = file.empty() ? weir::load_builtin_config() : weir::load_config(file);
  if (!config) return config;
  for (const std::string_view operation : {kGeneration, kBatch}) {
    if (config->operations.count(operation) != 0) continue;
    return weir::Error{
        weir::Errc::config,
        fmt::format("{}: operations.{}: missing", file.empty() ? "built-in limits" : file, operation),
        "the server's routes need it; add a section of that name"};
  }
  if (!segment.empty()) config->segment.name = segment;
  return config;
}

void reload_limits(const std::string& file, std::string_view segment) {
  const auto config = load_limits(file, segment);
  if (!config) return say(fmt::format("limits not reloaded, all is as before: {}", config.error().message()));
  const auto report = weir::apply_config(segment, *config);
  if (!report) return say(fmt::format("limits not reloaded, all is as before: {}", report.error().message()));
  say(fmt::format("limits reloaded, {} changed", report->changes.size()));
}

}  // namespace captions
