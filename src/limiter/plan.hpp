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
#include "primitives/permits.hpp"

namespace weir::detail {

/// A rate over all callers.
struct SharedRate {
  TokenBucketParams params;
  TokenBucket* bucket = nullptr;
  LimitId id = LimitId::none;
};

/// A concurrency limit over all callers.
struct SharedBulkhead {
  Permits permits;
  std::uint32_t limit = 0;
  LimitId id = LimitId::none;
};

/// A rate of each user alone.
struct UserRate {
  TokenBucketParams params;
  LimitId id = LimitId::none;

  [[nodiscard]] UserLimit entry() const noexcept { return {static_cast<std::uint16_t>(id), 0}; }
};

/// A concurrency limit of each user alone; its permits lie in `parts` entries of the user table.
struct UserBulkhead {
  std::uint32_t limit = 0;
  std::uint32_t parts = 0;
  LimitId id = LimitId::none;

  [[nodiscard]] UserLimit entry(std::uint32_t part) const noexcept {
    return {static_cast<std::uint16_t>(id), static_cast<std::uint8_t>(part)};
  }
  [[nodiscard]] std::uint32_t capacity(std::uint32_t part) const noexcept {
    return std::min(owner_set::kPlaces, limit - part * owner_set::kPlaces);
  }
};

/// Everything that one request of an operation has to pass; global limits first. At most two bulkheads of
/// each scope: the global one and the operation's.
struct OperationPlan {
  std::vector<SharedBulkhead> shared_bulkheads;
  std::vector<UserBulkhead> user_bulkheads;
  std::vector<SharedRate> shared_rates;
  std::vector<UserRate> user_rates;

  [[nodiscard]] bool has_bulkheads() const noexcept {
    return !shared_bulkheads.empty() || !user_bulkheads.empty();
  }
  [[nodiscard]] bool has_user_limits() const noexcept {
    return !user_rates.empty() || !user_bulkheads.empty();
  }
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
  bool has_user_bulkheads = false;

  Plan(const Records& records, std::span<SharedState> states, std::span<Word> cells);

  /// The record of a limit; nullptr for an id that no limit has.
  [[nodiscard]] const LimitRecord* limit(std::uint16_t id) const noexcept {
    return id >= 1 && id <= limits.size() ? &limits[id - 1U] : nullptr;
  }
};

}  // namespace weir::detail
