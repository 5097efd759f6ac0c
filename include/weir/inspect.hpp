#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

/// One limit that all callers share, at the moment of the snapshot.
struct SharedLimitStatus {
  std::string name;  ///< "operations.caption_generation.rate[1]"
  Rate rate;
  std::uint32_t available = 0;          ///< tokens that one request could spend now
  std::chrono::nanoseconds full_in{0};  ///< until the bucket is full again
};

/// One limit per user: how many users it holds something against.
struct UserLimitStatus {
  std::string name;
  Rate rate;
  std::uint64_t active = 0;     ///< users who owe something now
  std::uint64_t exhausted = 0;  ///< of these, users who could not spend one token now
};

/// The user table as a whole.
struct UserTableStatus {
  std::uint64_t capacity = 0;   ///< entries; a user takes one for each of its limits
  std::uint64_t occupied = 0;   ///< entries that name a user, at rest or not
  std::uint64_t active = 0;     ///< entries that hold something against a user
  std::uint64_t evicted = 0;    ///< users forgotten although they owed something: raise segment.users
  std::uint64_t refused = 0;    ///< requests refused because the table was full
  std::uint64_t unlimited = 0;  ///< requests admitted uncharged because the table was full
};

/// A plain copy of a segment at one moment. Word by word exact; the whole is not one instant.
struct Snapshot {
  std::string segment;
  std::string library_version;
  std::uint32_t layout_version = 0;
  std::string uuid;
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point created;
  Config config;
  std::vector<SharedLimitStatus> shared;
  std::vector<UserLimitStatus> users;
  UserTableStatus table;
};

/// Copies the state of a segment out, through a read-only mapping: stops nobody, works while all workers
/// hang. Errors  as Limiter::attach. Cost    reads the whole user table: about 0.1 s per GiB.
[[nodiscard]] WEIR_EXPORT Result<Snapshot> take_snapshot(std::string_view segment) noexcept;

}  // namespace weir
