// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

/// What a limit says. Of a concurrency limit or its candidate only Concurrency::limit is filled.
using LimitRule = std::variant<Rate, Window, Concurrency, Cooldown>;

/// A limit of any kind, over all users or of each user, at the moment of the snapshot. fields.hpp describes what
/// each number means for each kind.
struct LimitStatus {
  std::string name;       ///< "operations.caption_generation.rate[1]"
  std::string operation;  ///< whose limit it is; empty: of all operations, or of one user
  LimitRule rule;
  Mode mode = Mode::enforced;
  bool per_user = false;
  std::uint64_t capacity = 0;  ///< tokens of a full bucket, requests of a window, permits; 0 of a cooldown
  std::uint64_t used = 0;      ///< of these; of one per user only permits, those of all users
  /// Of one over all users: until nothing is used, or a cooldown ends.
  std::chrono::nanoseconds resets_in{0};
  std::uint64_t users = 0;         ///< of one per user: users against whom it holds something
  std::uint64_t exhausted = 0;     ///< of these, users whose next request it refuses; not known of permits
  std::uint64_t would_refuse = 0;  ///< refusals that a limit which only counts would have given

  /// What of the capacity is left.
  [[nodiscard]] std::uint64_t available() const noexcept { return used < capacity ? capacity - used : 0; }
};

/// What a breaker does now.
enum class BreakerState : std::uint8_t {
  closed = 0,
  open = 1,
  half_open = 2,
  forced_open = 3,
  forced_closed = 4,
  disabled = 5,
  metrics_only = 6,
};
[[nodiscard]] WEIR_EXPORT std::string_view to_string(BreakerState state) noexcept;

/// The breaker of an operation. It is not one of the limits: it counts outcomes and not requests, so it has no
/// capacity of which a part is used.
struct BreakerStatus {
  std::string operation;
  Breaker breaker;
  BreakerState state = BreakerState::closed;
  std::uint64_t failures_in_a_row = 0;
  std::uint64_t calls = 0;  ///< in the window, if it has one, and in flight for longer than `slow_call`
  std::uint64_t failures = 0;
  std::uint64_t slow = 0;  ///< those in flight included
  std::uint32_t probes_out = 0;
  std::uint32_t trips = 0;                 ///< in a row
  std::chrono::nanoseconds next_probe{0};  ///< until then it refuses
};

/// One attached process.
struct WorkerStatus {
  std::uint32_t slot = 0;
  std::uint32_t pid = 0;               ///< in its own PID namespace
  std::string name;                    ///< of the program; any bytes
  bool dead = false;                   ///< what it holds comes back with the next sweep
  std::chrono::nanoseconds since{0};   ///< ago
  std::uint64_t permits = 0;           ///< held, of all limits
  std::chrono::nanoseconds oldest{0};  ///< age of its oldest shared permit, in steps of 67 ms
};

/// What sweeps and late releases have done since the creation.
struct SweepStatus {
  std::uint64_t workers = 0;        ///< dead workers swept
  std::uint64_t permits = 0;        ///< permits taken back from them
  std::uint64_t late_releases = 0;  ///< permits given back after they had been taken back
};

/// The user table as a whole.
struct UserTableStatus {
  std::uint64_t capacity = 0;  ///< entries; a user takes one for each of its limits
  std::uint64_t occupied = 0;  ///< entries that name a user, at rest or not
  std::uint64_t active = 0;    ///< entries that hold something against a user
  TableFull when_full = TableFull::evict;
  std::uint64_t evicted = 0;    ///< users forgotten although they owed something: raise segment.users
  std::uint64_t refused = 0;    ///< requests refused because the table was full
  std::uint64_t unlimited = 0;  ///< requests admitted uncharged because the table was full
};

/// The last configuration that a process opened the segment with and that it does not enforce.
struct DifferenceStatus {
  std::uint64_t values = 0;  ///< how many values differ
  std::string key;           ///< the first of them
  std::string here;          ///< its value in the segment
  std::string there;         ///< and in the configuration
  std::string program;       ///< who; any bytes
  std::uint32_t pid = 0;
  std::chrono::system_clock::time_point when;
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
  std::vector<LimitStatus> limits;  ///< of all kinds, as in the configuration: global, operations, users
  UserTableStatus table;
  std::vector<BreakerStatus> breakers;
  std::uint64_t generation = 0;  ///< live changes so far
  std::optional<DifferenceStatus> difference;
  std::vector<WorkerStatus> workers;
  std::uint32_t worker_slots = 0;
  SweepStatus swept;
};

/// Copies the state of a segment out, through a read-only mapping: stops nobody, works while all workers
/// hang. Errors  as Limiter::attach. Cost    reads the whole user table: about 0.1 s per GiB.
[[nodiscard]] WEIR_EXPORT Result<Snapshot> take_snapshot(std::string_view segment) noexcept;

/// A segment of this host.
struct SegmentEntry {
  std::string name;
  std::uint32_t layout_version = 0;
  std::uint32_t owner = 0;  ///< user and group of its file
  std::uint32_t group = 0;
  std::uint32_t mode = 0;  ///< permission bits of its file
  std::uint64_t bytes = 0;
  std::uint32_t workers = 0;  ///< living processes that have joined it
  std::string problem;        ///< why it cannot be read, and `workers` is not known; empty if it can
};

/// The segments of this host, of all layout versions and owners.
/// Errors  Errc::system.
[[nodiscard]] WEIR_EXPORT Result<std::vector<SegmentEntry>> list_segments() noexcept;

/// What the inspector knows of a user's name. Only a whole one can be looked up or reset by.
enum class NameKind : std::uint8_t {
  whole = 0,
  cut = 1,   ///< only its first 48 bytes are remembered
  hash = 2,  ///< not remembered: "#" and a hash stand for it
};
[[nodiscard]] WEIR_EXPORT std::string_view to_string(NameKind kind) noexcept;

/// What one limit per user holds against one user.
struct UserEntry {
  std::string user;   ///< the key as far as it is remembered (segment.key_names), else "#" and a hash of it
  std::string limit;  ///< "operations.caption_generation.user.rate"
  std::uint32_t available = 0;              ///< tokens, requests or permits left
  std::uint32_t of = 0;                     ///< out of so many
  std::uint32_t permits = 0;                ///< held
  std::chrono::nanoseconds retry_after{0};  ///< until one more request would pass; 0: it does now
  NameKind name = NameKind::whole;          ///< what `user` is
};

/// Which users to show first.
enum class UserOrder : std::uint8_t {
  refused = 0,        ///< who has to wait longest
  nearest_limit = 1,  ///< whose limit is used up furthest
  permits = 2,        ///< who holds most
};

struct UserQuery {
  std::size_t top = 20;
  std::string operation;  ///< only its limits; empty: all
  UserOrder order = UserOrder::nearest_limit;
};

/// The users against whom most is held. Looks only.
/// Errors  as take_snapshot; Errc::not_in_segment: no such operation. Cost  one pass over the user table.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> list_users(std::string_view segment,
                                                                    const UserQuery& query) noexcept;

/// One user under every limit that applies, at rest or not. Looks only.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> look_up_user(std::string_view segment,
                                                                      std::string_view user) noexcept;

}  // namespace weir
