// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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

/// What happens to the refusals of a limit.
enum class Mode : std::uint8_t {
  enforced = 0,
  shadow = 1,     ///< counted, never enforced; the limit keeps books of its own
  candidate = 2,  ///< counted like a shadow limit, as a second value of the limit before it in the list
};

/// A token bucket: `count` requests per `period` in the long run, `burst` of them at once.
///
/// A burst up to 2,097,151 may be any number; a higher one may have at most 21 significant bits (10,000,000
/// has). It is written "30/min burst 10". If no burst is given, a full bucket holds one period: "500/hour"
/// admits 500 at once.
struct Rate {
  std::uint64_t count = 0;
  std::chrono::nanoseconds period{0};
  std::uint32_t burst = 0;
  Mode mode = Mode::enforced;
  /// Over all users: how many tokens a process takes in advance, to spend them without touching what other processes
  /// write. 0: none. Left out: none, until processes lose time to each other, and then as many as pay. They are at
  /// most a 128th of the burst, and of what is earned in 20 ms; what a process has not spent after 10 ms is lost.
  std::optional<std::uint32_t> lease{};

  friend bool operator==(const Rate&, const Rate&) = default;
};

/// How a window is counted.
enum class WindowKind : std::uint8_t {
  automatic = 0,  ///< over all users: log up to 65,535, ring above; for each user: weighted
  log = 1,        ///< exact: the times of the last `limit` admissions
  ring = 2,   ///< counts in cells, 59 in a window (fewer below 124 ms, of at least 2.1 ms each): never more
              ///< than the limit in any window; an admission may count for one cell too long
  fixed = 3,  ///< aligned to UTC: calendar minute, hour, day; across a boundary up to twice the limit
  weighted = 4,  ///< for a user: two counts and a weight, in 16 bytes. It admits at most the limit n in an
                 ///< aligned window, and at most 2n - 1 in any window, or n + 1 if requests are evenly
                 ///< spaced. A wait is at most length * (1 + 1/n), less the part of the aligned window that
                 ///< has passed. With a limit of 1 that is nearly two lengths; a rate with a burst of 1
                 ///< ("1/h") waits for one
};

/// At most `limit` requests within `length`. It is written "100 per 1min".
struct Window {
  std::uint32_t limit = 0;
  std::chrono::nanoseconds length{0};
  WindowKind kind = WindowKind::automatic;
  Mode mode = Mode::enforced;

  friend bool operator==(const Window&, const Window&) = default;
};

/// How many requests may be in progress at once, up to 65,535, or 64 per user; 0: unlimited.
struct Concurrency {
  std::uint32_t limit = 0;
  bool shadow = false;
  std::uint32_t candidate = 0;  ///< a second value, counted beside the enforced one; 0: none

  Concurrency() = default;
  Concurrency(std::uint32_t permits) : limit(permits) {}  // NOLINT: a number is a limit
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};

/// Refuses everything for a while once the rates and windows of its scope have refused often enough.
struct Cooldown {
  std::chrono::nanoseconds length{0};  ///< 0: none
  std::uint32_t refusals = 1;          ///< in a row, 1 to 255, before it begins
  bool shadow = false;

  friend bool operator==(const Cooldown&, const Cooldown&) = default;
};

/// An operator's switch: what a breaker does regardless of outcomes. It is not part of the configuration
/// file.
enum class BreakerSwitch : std::uint8_t {
  automatic = 0,      ///< follows the outcomes
  forced_open = 1,    ///< refuses everything
  forced_closed = 2,  ///< passes everything and goes on counting
  disabled = 3,       ///< passes everything and counts nothing
  metrics_only = 4,   ///< passes everything and counts what it would have refused (`shadow = true`)
};

/// A circuit breaker: while the work of an operation keeps failing, no process begins it.
///
/// It trips on any of `failures` in a row, `failure_rate` and `slow_rate`. It then stays open for `recovery`,
/// lets `probes` requests of the whole host through at once, and closes after `successes` of them went well.
///
/// With `slow_rate`, a call that is in flight for longer than `slow_call` counts as a slow call before it
/// returns, so if a backend hangs, the breaker opens at the next request. This is noticed late by less than
/// an eighth of `slow_call`, or 2 % of `slow_call` and `window` together, whichever is more. The call counts
/// in this way until it returns, but for about one `window` at most (with `window_calls`: 14 times
/// `slow_call`); when it returns, it counts once, by its outcome and its duration. The calls of a killed
/// worker stay in flight for the same time. Calls that began before the breaker last changed its state do not
/// count.
struct Breaker {
  std::uint32_t failures = 0;  ///< in a row; 0: not counted
  double failure_rate = 0;     ///< 0 to 1 of the calls in the window; 0: not looked at
  double slow_rate = 0;        ///< 0 to 1 of the calls in the window; 0: not looked at
  /// A call that takes longer is slow, also while it is in flight. This and `slow_rate` need each other.
  std::chrono::nanoseconds slow_call{0};
  /// Calls that must be in the window before a rate counts; 0: 10, or `window_calls` if that is less.
  std::uint32_t minimum_calls = 0;
  std::chrono::nanoseconds window{0};        ///< time window of the rates
  std::uint32_t window_calls = 0;            ///< or the last N calls
  std::chrono::nanoseconds recovery{0};      ///< how long it stays open
  double recovery_factor = 1;                ///< by which the recovery grows with each trip in a row
  std::chrono::nanoseconds max_recovery{0};  ///< up to this; at most 13 days, which 0 means
  double jitter = 0;                         ///< a random share of the recovery, up to this, is added
  std::uint32_t probes = 1;                  ///< 1 to 16
  std::uint32_t successes = 1;               ///< good probes in a row that close it
  /// A probe that has not reported by then is given up; 0: after `recovery`.
  std::chrono::nanoseconds probe_timeout{0};
  bool shadow = false;

  friend bool operator==(const Breaker&, const Breaker&) = default;
};

/// Which of the waiters of one class goes first.
enum class QueueOrder : std::uint8_t {
  fifo = 0,  ///< the one that has waited longest
  lifo = 1,  ///< the one that came last: under an overload it is the one whose caller is still there
};

/// Where requests wait that lack a permit (or tokens, if they asked to wait for them): see Request::wait.
///
/// Operations without a queue of their own use that of the global scope.
struct Queue {
  std::uint32_t seats = 0;  ///< how many may wait at once, up to 1,024; 0: none
  /// The longest that a request may wait here: whole milliseconds, up to 1 hour.
  std::chrono::nanoseconds timeout{std::chrono::seconds(1)};
  QueueOrder order = QueueOrder::fifo;
  /// Of 16 admissions of the whole segment while requests wait, how many are guaranteed to waiters of priority 1, 2,
  /// 3 and 4, so that none of them waits forever while more urgent requests keep coming; 16 at most together.
  std::array<std::uint8_t, 4> shares{1, 1, 1, 1};
  /// Whether a request that finds no free seat takes that of the last waiter of the lowest priority below its own.
  bool push_out = false;

  friend bool operator==(const Queue&, const Queue&) = default;
};

/// The limits of one scope. A request passes if all of them admit it; without any it is unlimited.
struct Limits {
  std::vector<Rate> rates;      ///< at most 6, candidates included
  std::vector<Window> windows;  ///< at most 4, candidates included
  Concurrency concurrent;
  Cooldown cooldown;

  friend bool operator==(const Limits&, const Limits&) = default;
};

/// The limits of one kind of work: over all its callers together, and for each user.
struct OperationPolicy {
  Limits shared;                   ///< over all users
  Limits user;                     ///< for each user; not applied to a request that names no user
  std::optional<Breaker> breaker;  ///< of the operation; the global scope has none
  Queue queue{};

  friend bool operator==(const OperationPolicy&, const OperationPolicy&) = default;
};

/// The limits of one user, in place of the limits per user of every operation.
struct UserOverride {
  bool exempt = false;  ///< no limits per user at all; the limits over all users still hold
  Limits limits;        ///< over all operations together

  friend bool operator==(const UserOverride&, const UserOverride&) = default;
};

/// What happens to a new user while every entry of the table belongs to a user that owes something.
/// The inspector shows how often that happened.
enum class TableFull : std::uint8_t {
  evict = 0,   ///< forget the user that is nearest to owing nothing; it gets its tokens back early
  refuse = 1,  ///< refuse the new user until another one owes nothing
  admit = 2,   ///< let the new user pass without limits of its own
};

/// What `admit` answers while there is no usable segment: it is missing, foreign or incompatible, or there is
/// no room for it.
enum class OnFault : std::uint8_t {
  refuse = 0,  ///< fail closed: opening is an error, and a segment that is lost later refuses everything
  admit = 1,   ///< fail open
  local = 2,   ///< limits of this process alone, each 1 / `local_workers` of the configured one
};

/// What opening does if the segment exists and enforces other limits than the configuration asks for.
enum class OnDifference : std::uint8_t {
  keep = 0,    ///< keep the limits of the segment, and report what differs (log, shm-inspect status)
  apply = 1,   ///< change them live to those of the configuration
  refuse = 2,  ///< opening is an error
};

/// What is counted of the requests of each operation.
enum class Metrics : std::uint8_t {
  times = 0,   ///< verdicts, outcomes and response times
  counts = 1,  ///< the same without response times, which spares reading the clock when a call ends
  off = 2,     ///< nothing
};

/// Where the shared memory lives and how large it is.
struct SegmentPolicy {
  /// At most 64 letters, digits, '.', '_' and '-'. All processes of the host that use one name share its
  /// limits.
  std::string name = "weir";
  /// How many users may owe something at once. Each takes 22 bytes per limit that applies to it.
  std::uint64_t users = 100'000;
  /// For how many limits per user there is room; 0: for those of the configuration, but for at least four if
  /// that takes no more than 64 MiB. A live change that needs more is refused.
  std::uint32_t limits_per_user = 0;
  TableFull when_full = TableFull::evict;
  /// Permission bits of the segment: 0600, or 0660 with a group.
  std::uint32_t mode = 0600;
  /// Name of the group that may attach as well; empty: the group of the creating process.
  std::string group;
  /// Take the memory at creation, so that a full /dev/shm is an error then, and not a SIGBUS later.
  bool reserve = true;
  /// Ask for huge pages, which cause fewer TLB misses in a large user table, if the host has them for shared
  /// memory.
  bool huge_pages = false;
  /// How many processes may be attached at once, up to 4,095. Each takes 128 bytes.
  std::uint32_t workers = 256;
  /// How many names of users the inspector can show; 0: no key is ever stored. Each takes 64 bytes.
  std::uint32_t key_names = 0;
  /// What is counted. A worker takes 8 KiB for each operation that it meets.
  Metrics metrics = Metrics::times;
  OnFault on_fault = OnFault::refuse;
  OnDifference on_difference = OnDifference::keep;
  /// The number of workers among which OnFault::local divides the limits.
  std::uint32_t local_workers = 4;

  friend bool operator==(const SegmentPolicy&, const SegmentPolicy&) = default;
};

/// Everything that one segment enforces.
struct Config {
  SegmentPolicy segment;
  OperationPolicy global;  ///< over all operations together
  std::map<std::string, OperationPolicy, std::less<>> operations;
  std::map<std::string, UserOverride, std::less<>> users;  ///< overrides, by the key of the user

  friend bool operator==(const Config&, const Config&) = default;
};

inline constexpr std::uint32_t kMaxOperations = 256;
inline constexpr std::uint32_t kMaxOverrides = 254;
inline constexpr std::uint32_t kMaxRates = 6;     ///< of one scope
inline constexpr std::uint32_t kMaxWindows = 4;   ///< of one scope
inline constexpr std::uint32_t kMaxSeats = 1024;  ///< of one queue
inline constexpr std::size_t kMaxNameLength = 64;

/// Checks a whole configuration.
/// Errors  Errc::config, naming the key ("operations.x.rate[1]") and what it may be.
[[nodiscard]] WEIR_EXPORT Result<void> validate(const Config& config) noexcept;

}  // namespace weir
