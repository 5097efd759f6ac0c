#pragma once

// What a replay counts. Each worker counts its own share; `merge` makes one of them.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weir/decision.hpp"

namespace weir::replay {

/// Where the log's lines and clock stand: what the next block must know of all blocks before it.
struct Progress {
  std::uint64_t lines = 0;
  std::uint64_t requests = 0;
  std::chrono::sys_seconds first{};  ///< of the first request
  std::chrono::sys_seconds now{};    ///< of the latest: never set back
};

struct UserCounts {
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
};

struct Tally {
  Progress reached;  ///< after the last block that was counted
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
  std::uint64_t unparsed = 0;
  std::uint64_t first_unparsed_line = 0;  ///< 0: every line was a request
  std::string_view first_unparsed;
  std::map<LimitId, std::uint64_t> refused_by;
  std::unordered_map<std::string_view, UserCounts> users;  ///< names point into the log

  void count(std::string_view user, const Decision& decision);
  void count_unparsed(std::uint64_t lines, std::uint64_t first_line, std::string_view first_text);
  void merge(const Tally& other);
};

/// The counts as bytes for another process that has the same log at hand. Names go as places in it.
[[nodiscard]] std::string encode(const Tally& tally, std::string_view log);

/// The counts again. Throws std::runtime_error when they are not whole.
[[nodiscard]] Tally decode(std::string_view bytes, std::string_view log);

}  // namespace weir::replay
