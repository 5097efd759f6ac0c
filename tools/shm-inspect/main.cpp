// SPDX-License-Identifier: Apache-2.0

// shm-inspect: looks at the limits that the processes of this host keep in shared memory.

#include <variant>

#include "commands.hpp"
#include "common/output.hpp"
#include "options.hpp"

namespace weir::shm_inspect {
namespace {

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  run_command(std::get<Options>(parsed));
  return tools::kDone;
}

}  // namespace
}  // namespace weir::shm_inspect

int main(int argc, char** argv) {
  return weir::tools::run_tool("shm-inspect", argc, argv, weir::shm_inspect::run);
}
