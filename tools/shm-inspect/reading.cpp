// SPDX-License-Identifier: Apache-2.0
#include "reading.hpp"

#include <fmt/format.h>
#include <memory>
#include <utility>

#include "common/output.hpp"

namespace weir::shm_inspect {

Action reading(CLI::App& command, const char* json_help, Look look) {
  const auto json = std::make_shared<bool>(false);
  command.add_flag("--json", *json, json_help);
  return [json, look = std::move(look)](const Common& common) {
    fmt::print("{}", look(common, {.json = *json, .colours = tools::wants_colours()}));
  };
}

}  // namespace weir::shm_inspect
