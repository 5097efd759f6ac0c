// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string_view>

namespace weir::shm_inspect {

/// The question that a command asks which destroys what nothing brings back, and the flag that answers it in scripts.
/// Changes that rollback takes back are not asked about.
class Confirmation {
 public:
  /// Adds --yes.
  void declare(CLI::App& command);

  [[nodiscard]] bool is_given() const noexcept { return yes_; }
  /// Asks on the terminal, unless --yes is given. The question is what would happen, as in "remove X". Throws Failure if
  /// the answer is no, or if there is no terminal.
  void ask(std::string_view question) const;

 private:
  bool yes_ = false;
};

}  // namespace weir::shm_inspect
