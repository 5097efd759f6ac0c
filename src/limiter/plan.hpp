#pragma once

// The limits of a segment, laid out for deciding: private to the process, in bounds by construction.
//
// Made once at attach from records that were checked; a decision reads this, and from the segment only words.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weir/decision.hpp"

#include "policy/records.hpp"
#include "policy/schema.hpp"

namespace weir::detail {

/// A rate over all callers.
struct SharedRate {
  TokenBucketParams params;
  TokenBucket* bucket = nullptr;
  LimitId id = LimitId::none;
};

/// A rate of each user alone.
struct UserRate {
  TokenBucketParams params;
  LimitId id = LimitId::none;
};

/// Everything that one request of an operation has to pass, in the order in which it is charged.
struct OperationPlan {
  std::vector<SharedRate> shared;  ///< global first
  std::vector<UserRate> user;
};

/// Hashes std::string keys and string_view look-ups alike, so that a look-up allocates nothing.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

struct Plan {
  std::vector<OperationPlan> operations;
  std::unordered_map<std::string, std::uint16_t, TextHash, std::equal_to<>> by_name;
  std::vector<std::string> limit_names;  ///< limit id - 1
  std::vector<LimitRecord> limits;       ///< limit id - 1

  Plan(const Records& records, std::span<SharedState> states);

  /// The record of a limit; nullptr for an id that no limit has.
  [[nodiscard]] const LimitRecord* limit(std::uint16_t id) const noexcept {
    return id >= 1 && id <= limits.size() ? &limits[id - 1U] : nullptr;
  }
};

}  // namespace weir::detail
