#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weir/error.hpp"
#include "weir/export.hpp"

namespace weir {

/// A token bucket: `count` requests per `period` in the long run, `burst` of them at once.
///
/// Written "30/min burst 10". Without a burst a full bucket holds one period: "500/hour" admits 500 at once.
struct Rate {
  std::uint64_t count = 0;
  std::chrono::nanoseconds period{0};
  std::uint32_t burst = 0;

  friend bool operator==(const Rate&, const Rate&) = default;
};

/// The limits of one scope. Empty: unlimited. Several rates: all must agree.
struct Limits {
  std::vector<Rate> rates;
  /// How many may be in progress at once; 0: unlimited. At most 65,535, of a user 64.
  std::uint32_t concurrent = 0;

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// What one kind of work may do: all its callers together, and each user alone.
struct OperationPolicy {
  Limits shared;  ///< over all users
  Limits user;    ///< of each user; not applied to a request that names no user

  friend bool operator==(const OperationPolicy&, const OperationPolicy&) = default;
};

/// What happens to a new user when the table is full of users who all owe something.
/// Whatever happens is counted and shown by the inspector.
enum class TableFull : std::uint8_t {
  evict = 0,   ///< forget the one who is nearest to owing nothing (it gets its tokens back early)
  refuse = 1,  ///< refuse the new user until somebody comes to rest
  admit = 2,   ///< let the new user pass, unlimited by its own limits
};

/// Where the shared memory lives and how large it is.
struct SegmentPolicy {
  /// Letters, digits, '.', '_' and '-'; at most 64. One name, one set of limits on this host.
  std::string name = "weir";
  /// How many users may owe something at once. Each costs 22 bytes per limit that applies to it.
  std::uint64_t users = 100'000;
  TableFull when_full = TableFull::evict;
  /// Permission bits of the segment: 0600, or 0660 with a group.
  std::uint32_t mode = 0600;
  /// Name of the group that may attach too; empty: the creator's own.
  std::string group;
  /// Take the memory at creation, so that a full /dev/shm is an error then and never a SIGBUS later.
  bool reserve = true;
  /// How many processes may be attached at once, at most 4,095. Each costs 64 bytes.
  std::uint32_t workers = 256;

  friend bool operator==(const SegmentPolicy&, const SegmentPolicy&) = default;
};

/// Everything that one segment enforces.
struct Config {
  SegmentPolicy segment;
  OperationPolicy global;  ///< holds over all operations
  std::map<std::string, OperationPolicy, std::less<>> operations;
};

inline constexpr std::uint32_t kMaxOperations = 256;
inline constexpr std::uint32_t kMaxLimits = 2'047;
inline constexpr std::size_t kMaxNameLength = 64;

/// Checks a whole configuration.
/// Errors  Errc::config, naming the key ("operations.x.rate[1]") and what it may be.
[[nodiscard]] WEIR_EXPORT Result<void> validate(const Config& config) noexcept;

}  // namespace weir
