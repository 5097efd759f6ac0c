// SPDX-License-Identifier: Apache-2.0
#include "confirmation.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <iostream>
#include <string>
#include <unistd.h>

#include "common/failure.hpp"

namespace weir::shm_inspect {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share

void Confirmation::declare(CLI::App& command) {
  command.add_flag("--yes", yes_, "do not ask; without a terminal to ask on, nothing is done without it");
}

void Confirmation::ask(std::string_view question) const {
  if (yes_) return;
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) {
    throw Failure(kUsage, fmt::format("not done, since there is no terminal to ask on: {}; if that is meant, "
                                      "give --yes as well",
                                      question));
  }
  fmt::print(stderr, "{}? This cannot be taken back. [y/N] ", question);
  std::fflush(stderr);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "y" && answer != "yes") throw Failure(kFailed, "nothing was done");
}

}  // namespace weir::shm_inspect
