#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/error.hpp"
#include "weir/export.hpp"

namespace weir {

/// What becomes of a limit's refusals.
enum class Mode : std::uint8_t {
  enforced = 0,
  shadow = 1,     ///< counted, never enforced; the limit keeps its own books beside the enforced ones
  candidate = 2,  ///< the same, as a second value of the limit before it in the list
};

/// A token bucket: `count` requests per `period` in the long run, `burst` of them at once.
///
/// A burst up to 2,097,151 may be any number, a higher one has at most 21 significant bits (10,000,000 has).
/// Written "30/min burst 10". Without a burst a full bucket holds one period: "500/hour" admits 500 at once.
struct Rate {
  std::uint64_t count = 0;
  std::chrono::nanoseconds period{0};
  std::uint32_t burst = 0;
  Mode mode = Mode::enforced;

  friend bool operator==(const Rate&, const Rate&) = default;
};

/// How a sliding or fixed window is kept.
enum class WindowKind : std::uint8_t {
  automatic = 0,  ///< shared: log up to 65,535, ring above; of a user: weighted
  log = 1,        ///< exact: the times of the last `limit` admissions
  ring = 2,       ///< counted cells, 59 in a window (fewer below 124 ms, of at least 2.1 ms each): never more
                  ///< than the limit in any window; an admission counts for up to one cell longer than it
  fixed = 3,      ///< aligned to UTC: calendar minute, hour, day; across a boundary up to twice the limit
  weighted = 4,   ///< of a user: two counts and a weight, in 16 bytes. Never more than the limit n in an
                  ///< aligned window, nor than 2n - 1 in any window; of evenly spaced requests n + 1. A wait
                  ///< is at most length * (1 + 1/n), less what is over of the aligned window: under a limit
                  ///< of 1 nearly two lengths, where a rate with a burst of 1 ("1/h") waits for one
};

/// At most `limit` requests within `length`. Written "100 per 1min".
struct Window {
  std::uint32_t limit = 0;
  std::chrono::nanoseconds length{0};
  WindowKind kind = WindowKind::automatic;
  Mode mode = Mode::enforced;

  friend bool operator==(const Window&, const Window&) = default;
};

/// How many requests may be in progress at once; 0: unlimited. At most 65,535, of a user 64.
struct Concurrency {
  std::uint32_t limit = 0;
  bool shadow = false;
  std::uint32_t candidate = 0;  ///< a second value, counted beside the enforced one; 0: none

  Concurrency() = default;
  Concurrency(std::uint32_t permits) : limit(permits) {}  // NOLINT: a number is a limit
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};

/// Refuses everything for a while after refusals by the rates and windows of the same scope.
struct Cooldown {
  std::chrono::nanoseconds length{0};  ///< 0: none
  std::uint32_t refusals = 1;          ///< in a row, 1 to 255, before it begins
  bool shadow = false;

  friend bool operator==(const Cooldown&, const Cooldown&) = default;
};

/// What a breaker does whatever the outcomes are. Not kept in a file: an operator's switch.
enum class BreakerSwitch : std::uint8_t {
  automatic = 0,      ///< follows the outcomes
  forced_open = 1,    ///< refuses everything
  forced_closed = 2,  ///< passes everything, goes on counting
  disabled = 3,       ///< passes everything, counts nothing
  metrics_only = 4,   ///< counts, and says what it would have done (`shadow = true`)
};

/// A circuit breaker: when the work of an operation fails, nobody begins it for a while.
///
/// Trips on any of: `failures` in a row, `failure_rate`, `slow_rate`. Opens for `recovery`, then lets
/// `probes` through at once (of the whole host), and closes after `successes` of them went well.
///
/// With `slow_rate`, a call that is in flight for longer than `slow_call` counts as a call and as a slow one
/// before it returns: if a backend hangs, the breaker opens at the next request. It is noticed late by less than
/// an eighth of `slow_call` or 2 % of `slow_call` and `window` together, whichever is more, and counts until it
/// returns, at most for about a `window` (with `window_calls`: 14 times `slow_call`); when it returns, it counts
/// once, by its outcome and its time. A worker that is killed leaves its calls in flight for as long. Calls from
/// before the breaker last changed its state do not count.
struct Breaker {
  std::uint32_t failures = 0;             ///< in a row; 0: not counted
  double failure_rate = 0;                ///< 0 to 1 of the calls in the window; 0: not looked at
  double slow_rate = 0;                   ///< 0 to 1; 0: not looked at
  std::chrono::nanoseconds slow_call{0};  ///< a call that takes longer is slow, also while it is in flight
  /// In the window, before a rate counts; 0: 10, or `window_calls` where that is less.
  std::uint32_t minimum_calls = 0;
  std::chrono::nanoseconds window{0};        ///< time window of the rates
  std::uint32_t window_calls = 0;            ///< or: the last so many calls
  std::chrono::nanoseconds recovery{0};      ///< how long it stays open
  double recovery_factor = 1;                ///< grows by so much with each trip in a row
  std::chrono::nanoseconds max_recovery{0};  ///< up to this, at most 13 days; 0: to those
  double jitter = 0;                         ///< up to this share of the recovery is added, at random
  std::uint32_t probes = 1;                  ///< 1 to 16
  std::uint32_t successes = 1;               ///< good probes in a row that close it
  std::chrono::nanoseconds probe_timeout{
      0};  ///< a probe that has not reported by then is given up; 0: recovery
  bool shadow = false;

  friend bool operator==(const Breaker&, const Breaker&) = default;
};

/// The limits of one scope. Empty: unlimited. All of them must agree.
struct Limits {
  std::vector<Rate> rates;      ///< at most 6, candidates included
  std::vector<Window> windows;  ///< at most 4, candidates included
  Concurrency concurrent;
  Cooldown cooldown;

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// What one kind of work may do: all its callers together, and each user alone.
struct OperationPolicy {
  Limits shared;                   ///< over all users
  Limits user;                     ///< of each user; not applied to a request that names no user
  std::optional<Breaker> breaker;  ///< of the operation; the global scope has none

  friend bool operator==(const OperationPolicy&, const OperationPolicy&) = default;
};

/// What holds for one user instead of every operation's limits per user.
struct UserOverride {
  bool exempt = false;  ///< no limits per user at all; the limits over all users still hold
  Limits limits;        ///< over all operations together

  friend bool operator==(const UserOverride&, const UserOverride&) = default;
};

/// What happens to a new user when the table is full of users who all owe something.
/// Whatever happens is counted and shown by the inspector.
enum class TableFull : std::uint8_t {
  evict = 0,   ///< forget the one who is nearest to owing nothing (it gets its tokens back early)
  refuse = 1,  ///< refuse the new user until somebody comes to rest
  admit = 2,   ///< let the new user pass, unlimited by its own limits
};

/// What `admit` answers while there is no usable segment (missing, foreign, incompatible, no room for it).
enum class OnFault : std::uint8_t {
  refuse = 0,  ///< fail closed: opening is an error; a segment lost later refuses
  admit = 1,   ///< fail open
  local = 2,   ///< limits of this process alone, each 1 / `local_workers` of the host's
};

/// What opening does when the segment is there already and enforces other limits than the configuration asks
/// for.
enum class OnDifference : std::uint8_t {
  keep = 0,    ///< go on with the limits of the segment, and say what differs (log, shm-inspect status)
  apply = 1,   ///< change them live to those of the configuration
  refuse = 2,  ///< opening is an error
};

/// Where the shared memory lives and how large it is.
struct SegmentPolicy {
  /// Letters, digits, '.', '_' and '-'; at most 64. One name, one set of limits on this host.
  std::string name = "weir";
  /// How many users may owe something at once. Each costs 22 bytes per limit that applies to it.
  std::uint64_t users = 100'000;
  /// For how many limits of each user there is room; 0: for those of the configuration, and for four at least
  /// where that takes no more than 64 MiB. A live change that needs more is refused.
  std::uint32_t limits_per_user = 0;
  TableFull when_full = TableFull::evict;
  /// Permission bits of the segment: 0600, or 0660 with a group.
  std::uint32_t mode = 0600;
  /// Name of the group that may attach too; empty: the creator's own.
  std::string group;
  /// Take the memory at creation, so that a full /dev/shm is an error then and never a SIGBUS later.
  bool reserve = true;
  /// Ask for huge pages: fewer TLB misses in a large user table, where the host gives them to shared memory.
  bool huge_pages = false;
  /// How many processes may be attached at once, at most 4,095. Each costs 128 bytes.
  std::uint32_t workers = 256;
  /// How many names of users the inspector can show; 0: keys never lie in the segment. Each costs 64 bytes.
  std::uint32_t key_names = 0;
  OnFault on_fault = OnFault::refuse;
  OnDifference on_difference = OnDifference::keep;
  /// Over how many workers OnFault::local divides the limits.
  std::uint32_t local_workers = 4;

  friend bool operator==(const SegmentPolicy&, const SegmentPolicy&) = default;
};

/// Everything that one segment enforces.
struct Config {
  SegmentPolicy segment;
  OperationPolicy global;  ///< holds over all operations
  std::map<std::string, OperationPolicy, std::less<>> operations;
  std::map<std::string, UserOverride, std::less<>> users;  ///< overrides, by the user's key

  friend bool operator==(const Config&, const Config&) = default;
};

inline constexpr std::uint32_t kMaxOperations = 256;
inline constexpr std::uint32_t kMaxOverrides = 254;
inline constexpr std::uint32_t kMaxRates = 6;    ///< of one scope
inline constexpr std::uint32_t kMaxWindows = 4;  ///< of one scope
inline constexpr std::size_t kMaxNameLength = 64;

/// Checks a whole configuration.
/// Errors  Errc::config, naming the key ("operations.x.rate[1]") and what it may be.
[[nodiscard]] WEIR_EXPORT Result<void> validate(const Config& config) noexcept;

}  // namespace weir
