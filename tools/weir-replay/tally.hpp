// SPDX-License-Identifier: Apache-2.0
#pragma once

// The counts of a replay. Each worker counts its own share; `merge` adds them up.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"

#include "names.hpp"
#include "routes.hpp"

namespace weir::replay {

struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
};

struct Tally {
  Counts all;
  std::map<LimitId, std::uint64_t> refused_by;
  std::vector<Counts> users;       ///< by UserNumber
  std::vector<Counts> operations;  ///< by Routes::Number

  void count(UserNumber user, Routes::Number operation, const Decision& decision);
  void merge(const Tally& other);
};

/// The counts as bytes, for another process.
[[nodiscard]] std::string encode(const Tally& tally);

/// Restores the counts from such bytes. Throws std::runtime_error if they are not complete.
[[nodiscard]] Tally decode(std::string_view bytes);

}  // namespace weir::replay
