#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

/// One rate that all callers share, at the moment of the snapshot.
struct SharedLimitStatus {
  std::string name;  ///< "operations.caption_generation.rate[1]"
  Rate rate;
  std::uint32_t available = 0;          ///< tokens that one request could spend now
  std::chrono::nanoseconds full_in{0};  ///< until the bucket is full again
  std::uint64_t would_refuse = 0;       ///< refusals that a limit which only counts would have given
};

/// One rate per user: how many users it holds something against.
struct UserLimitStatus {
  std::string name;
  Rate rate;
  std::uint64_t active = 0;     ///< users who owe something now
  std::uint64_t exhausted = 0;  ///< of these, users who could not spend one token now
  std::uint64_t would_refuse = 0;
};

/// A concurrency limit that all callers share.
struct SharedPermitStatus {
  std::string name;  ///< "operations.caption_generation.concurrent"
  std::uint32_t limit = 0;
  std::uint32_t in_use = 0;
  Mode mode = Mode::enforced;
  std::uint64_t would_refuse = 0;
};

/// A concurrency limit per user.
struct UserPermitStatus {
  std::string name;
  std::uint32_t limit = 0;
  std::uint64_t users = 0;   ///< users who hold a permit now
  std::uint64_t in_use = 0;  ///< permits of all users
  Mode mode = Mode::enforced;
  std::uint64_t would_refuse = 0;
};

/// A window, of all callers together or of each user.
struct WindowStatus {
  std::string name;  ///< "operations.caption_generation.window"
  Window window;
  bool per_user = false;
  std::uint32_t available = 0;          ///< of a shared one: requests that could pass now
  std::chrono::nanoseconds full_in{0};  ///< of a shared one: until nothing is counted any more
  std::uint64_t active = 0;             ///< of one per user: users of whom something is counted
  std::uint64_t exhausted = 0;          ///< of these, users who could not pass now
  std::uint64_t would_refuse = 0;
};

/// A cooldown after refusals, of all callers together or of each user.
struct CooldownStatus {
  std::string name;
  Cooldown cooldown;
  bool per_user = false;
  std::chrono::nanoseconds blocked_for{0};  ///< of a shared one; 0: it is not on
  std::uint64_t blocked_users = 0;          ///< of one per user
  std::uint64_t would_refuse = 0;
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
  std::uint64_t capacity = 0;   ///< entries; a user takes one for each of its limits
  std::uint64_t occupied = 0;   ///< entries that name a user, at rest or not
  std::uint64_t active = 0;     ///< entries that hold something against a user
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
  std::vector<SharedLimitStatus> shared;
  std::vector<UserLimitStatus> users;
  UserTableStatus table;
  std::vector<SharedPermitStatus> shared_permits;
  std::vector<UserPermitStatus> user_permits;
  std::vector<WindowStatus> windows;
  std::vector<CooldownStatus> cooldowns;
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
/// Errors  as take_snapshot; Errc::not_found: no such operation. Cost  one pass over the user table.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> list_users(std::string_view segment,
                                                                    const UserQuery& query) noexcept;

/// One user under every limit that applies, at rest or not. Looks only.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> look_up_user(std::string_view segment,
                                                                      std::string_view user) noexcept;

}  // namespace weir
