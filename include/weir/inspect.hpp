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

/// The rule of a limit. For a concurrency limit or its candidate only Concurrency::limit is set.
using LimitRule = std::variant<Rate, Window, Concurrency, Cooldown>;

/// A limit of any kind, over all users or of each user, at the moment of the snapshot. fields.hpp describes what
/// each number means for each kind.
struct LimitStatus {
  std::string name;       ///< "operations.caption_generation.rate[1]"
  std::string operation;  ///< the operation that it belongs to; empty for global limits and overrides
  LimitRule rule;
  Mode mode = Mode::enforced;
  bool per_user = false;
  std::uint64_t capacity = 0;  ///< tokens of a full bucket, requests of a window, permits; 0 for a cooldown
  std::uint64_t used = 0;      ///< how much of it is used; for a limit per user only the permits of all users
  /// The time until nothing is used, or until a cooldown ends; 0 for a limit per user.
  std::chrono::nanoseconds resets_in{0};
  std::uint64_t users = 0;         ///< for a limit per user: users against whom it holds something
  std::uint64_t exhausted = 0;     ///< how many of these it refuses now; not known for permits
  std::uint64_t refused = 0;       ///< requests that it refused
  std::uint64_t would_refuse = 0;  ///< requests that a limit which only counts would have refused
  std::uint64_t leased = 0;  ///< for a rate: tokens that processes took in advance in the last 17 ms or less

  /// How much of the capacity is left.
  [[nodiscard]] std::uint64_t available() const noexcept { return used < capacity ? capacity - used : 0; }
};

/// The state of a breaker.
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
  std::uint64_t slow = 0;  ///< slow calls, those in flight included
  std::uint32_t probes_out = 0;
  std::uint32_t trips = 0;                 ///< how often it opened in a row
  std::chrono::nanoseconds next_probe{0};  ///< the time until it lets a probe through
};

/// What became of the requests of an operation, over all workers that ever were, and how long its calls took. Counters
/// never fall, whichever worker is killed or replaced. Response times are off by at most 3 %.
struct OperationStatus {
  /// Upper bounds for `within`, beginning with this one; each is twice the one before.
  static constexpr std::chrono::nanoseconds kFirstBound{131'072};
  static constexpr std::size_t kBounds = 20;

  std::string name;
  bool counted = false;  ///< false: nothing is counted (segment.metrics = "off"), or there was no room for it

  std::uint64_t admitted = 0;  ///< requests by verdict
  std::uint64_t throttled = 0;
  std::uint64_t blocked = 0;
  std::uint64_t shed = 0;
  std::uint64_t circuit_open = 0;
  std::uint64_t never = 0;

  std::uint64_t succeeded = 0;  ///< admitted calls by outcome
  std::uint64_t failed = 0;
  std::uint64_t ignored = 0;    ///< ended without a report
  std::uint64_t lost = 0;       ///< their worker ended before they did
  std::uint64_t in_flight = 0;  ///< have not ended yet

  std::uint64_t waited = 0;               ///< requests that were admitted after they had waited
  std::uint64_t gave_up = 0;              ///< requests that waited, and were refused in the end
  std::chrono::nanoseconds wait_time{0};  ///< of both together

  std::uint64_t timed = 0;           ///< calls that have ended, and of which the time is known
  std::chrono::nanoseconds time{0};  ///< of these together
  std::chrono::nanoseconds p50{0};   ///< half of them took no longer; of all time
  std::chrono::nanoseconds p90{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds p999{0};
  std::chrono::nanoseconds peak{0};  ///< the longest one
  /// How many took at most kFirstBound, twice that, four times that, ...
  std::array<std::uint64_t, kBounds> within{};

  std::optional<std::chrono::system_clock::time_point> last_request;

  // In the last 60 to 69 s.
  std::uint64_t minute_admitted = 0;
  std::uint64_t minute_refused = 0;
  std::uint64_t minute_succeeded = 0;
  std::uint64_t minute_failed = 0;

  [[nodiscard]] std::uint64_t refused() const noexcept {
    return throttled + blocked + shed + circuit_open + never;
  }
  [[nodiscard]] std::uint64_t requests() const noexcept { return admitted + refused(); }
  /// Their mean; 0 if the time of none is known.
  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept {
    return timed == 0 ? std::chrono::nanoseconds(0) : time / static_cast<std::int64_t>(timed);
  }
  /// The part of the calls of the last minute that failed, of those that succeeded or failed; nothing if there were none.
  [[nodiscard]] std::optional<double> error_rate() const noexcept {
    const std::uint64_t calls = minute_succeeded + minute_failed;
    if (calls == 0) return std::nullopt;
    return static_cast<double>(minute_failed) / static_cast<double>(calls);
  }
};

/// One attached process.
struct WorkerStatus {
  std::uint32_t slot = 0;
  std::uint32_t pid = 0;               ///< in its own PID namespace
  std::string name;                    ///< the name of its program; any bytes
  bool dead = false;                   ///< if so, what it holds comes back with the next sweep
  std::chrono::nanoseconds since{0};   ///< how long ago it joined
  std::uint64_t permits = 0;           ///< how many it holds, of all limits
  std::chrono::nanoseconds oldest{0};  ///< age of its oldest shared permit, in steps of 67 ms
  std::uint64_t waiting = 0;           ///< how many of its requests wait
};

/// The queue of an operation, or the global one.
struct QueueStatus {
  std::string name;  ///< "operations.caption_generation.queue"
  Queue queue;
  std::uint64_t waiting = 0;           ///< seats that are taken
  std::string by_priority;             ///< how many of each priority: "5: 1, 3: 12"
  std::chrono::nanoseconds oldest{0};  ///< how long the request that came first has waited
};

/// A request that waits.
struct WaiterStatus {
  std::string queue;      ///< as QueueStatus::name
  std::string operation;  ///< of the request
  std::uint32_t priority = 0;
  std::uint32_t pid = 0;               ///< of the process that waits; 0: its slot is free
  std::chrono::nanoseconds waited{0};  ///< in steps of 512 ns
  std::string lacks;    ///< what it lacked when it last looked: "permits", "permits of its user"
  bool absent = false;  ///< it does not answer, so others go first
};

/// What sweeps and late releases have done since the segment was created.
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
  std::string there;         ///< its value in the configuration
  std::string program;       ///< the program that opened the segment; any bytes
  std::uint32_t pid = 0;
  std::chrono::system_clock::time_point when;
};

/// A plain copy of a segment. Each word is exact, but the words are not all of one instant.
struct Snapshot {
  std::string segment;
  std::string library_version;
  std::uint32_t layout_version = 0;
  std::string uuid;
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point created;
  std::chrono::system_clock::time_point taken;  ///< when it was copied
  Config config;
  std::vector<OperationStatus> operations;
  std::uint64_t unrecorded = 0;     ///< requests that were not counted, since there was no memory or no room
  std::vector<LimitStatus> limits;  ///< of all kinds, in the order global, operations, users
  UserTableStatus table;
  std::vector<BreakerStatus> breakers;
  std::uint64_t generation = 0;  ///< live changes so far
  std::optional<DifferenceStatus> difference;
  std::vector<QueueStatus> queues;
  std::vector<WaiterStatus> waiters;  ///< the queues one after another, in the order of their seats
  std::vector<WorkerStatus> workers;
  std::uint32_t worker_slots = 0;
  SweepStatus swept;
};

/// Copies the state of a segment through a read-only mapping. No worker waits for it, and it works while all workers
/// hang.
/// Errors  As Limiter::attach.
/// Cost    Reads the whole user table, which takes about 0.1 s per GiB.
[[nodiscard]] WEIR_EXPORT Result<Snapshot> take_snapshot(std::string_view segment) noexcept;

/// A segment of this host.
struct SegmentEntry {
  std::string name;
  std::uint32_t layout_version = 0;
  std::string library_version;  ///< the version of weir that made it; empty if its file does not say
  std::string uuid;             ///< tells it from others of its name; empty if there is a problem
  std::chrono::system_clock::time_point created;  ///< not known if there is a problem
  std::uint32_t owner = 0;                        ///< user and group of its file
  std::uint32_t group = 0;
  std::uint32_t mode = 0;  ///< permission bits of its file
  std::uint64_t bytes = 0;
  std::uint32_t workers = 0;  ///< living processes that have joined it; not known if there is a problem
  std::string problem;        ///< why the segment cannot be read, and what to do; empty if it can
};

/// The segments of this host, of all layout versions and owners.
/// Errors  Errc::system.
[[nodiscard]] WEIR_EXPORT Result<std::vector<SegmentEntry>> list_segments() noexcept;

/// What the inspector knows of a user's name. Only a user whose whole name is known can be looked up or reset.
enum class NameKind : std::uint8_t {
  whole = 0,
  cut = 1,   ///< only its first 48 bytes are remembered
  hash = 2,  ///< not remembered: "#" and a hash stand for it
};
[[nodiscard]] WEIR_EXPORT std::string_view to_string(NameKind kind) noexcept;

/// What one limit per user holds against one user.
struct UserEntry {
  std::string user;   ///< the user as far as it is remembered (segment.key_names), or "#" and a hash
  std::string limit;  ///< "operations.caption_generation.user.rate"
  std::uint32_t available = 0;              ///< tokens, requests or permits left
  std::uint32_t of = 0;                     ///< the most that can be available
  std::uint32_t permits = 0;                ///< how many permits the user holds
  std::uint32_t waiting = 0;                ///< how many of its requests wait for this limit
  std::chrono::nanoseconds retry_after{0};  ///< time until one more request would pass; 0 if it would now
  NameKind name = NameKind::whole;          ///< what `user` is
};

/// Which users are listed first.
enum class UserOrder : std::uint8_t {
  refused = 0,        ///< those that have to wait longest
  nearest_limit = 1,  ///< those that have the smallest share of a limit left
  permits = 2,        ///< those that hold most permits
};

struct UserQuery {
  std::size_t top = 20;
  std::string operation;  ///< only its limits; empty: all
  UserOrder order = UserOrder::nearest_limit;
};

/// Lists the users that come first in an order, and changes nothing.
/// Errors  As take_snapshot; Errc::not_in_segment: the segment does not have the operation.
/// Cost    One pass over the user table.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> list_users(std::string_view segment,
                                                                    const UserQuery& query) noexcept;

/// Looks up one user under every limit that applies to it, whether it owes something or not. It changes nothing.
[[nodiscard]] WEIR_EXPORT Result<std::vector<UserEntry>> look_up_user(std::string_view segment,
                                                                      std::string_view user) noexcept;

/// What a record of the journal tells of. event_text() says it in words.
enum class EventKind : std::uint8_t {
  lost =
      0,  ///< no record: these numbers were overwritten, or their writers were killed or stopped in the middle
  joined = 1,          ///< a worker was attached
  left = 2,            ///< a worker ended, and gave its slot back
  reaped = 3,          ///< a worker had died, and a sweep took back what it held
  opened = 4,          ///< a breaker tripped
  half_open = 5,       ///< a breaker lets probes through
  closed = 6,          ///< a breaker lets everything through again
  forced = 7,          ///< an operator switched a breaker
  changed = 8,         ///< limits were changed live
  rolled_back = 9,     ///< live changes were taken back
  reset = 10,          ///< limits were reset
  evicting = 11,       ///< the user table forgets users that owe something
  table_full = 12,     ///< the user table has no room for a new user
  late_release = 13,   ///< a worker that was taken for dead gave back what a sweep had taken
  fault = 14,          ///< a process cannot take part as it should
  alert_raised = 15,   ///< a value passed its threshold
  alert_cleared = 16,  ///< it came back
};
inline constexpr std::array kEventKinds{
    EventKind::lost,         EventKind::joined,       EventKind::left,   EventKind::reaped,
    EventKind::opened,       EventKind::half_open,    EventKind::closed, EventKind::forced,
    EventKind::changed,      EventKind::rolled_back,  EventKind::reset,  EventKind::evicting,
    EventKind::table_full,   EventKind::late_release, EventKind::fault,  EventKind::alert_raised,
    EventKind::alert_cleared};
[[nodiscard]] WEIR_EXPORT std::string_view to_string(EventKind kind) noexcept;

/// How much a record should worry an operator.
enum class EventSeverity : std::uint8_t { note = 0, warning = 1, alarm = 2 };
[[nodiscard]] WEIR_EXPORT std::string_view to_string(EventSeverity severity) noexcept;

/// One record of the journal, or a row of numbers whose records are lost.
struct EventEntry {
  std::uint64_t number = 0;  ///< its position in the order of the host, from 1; of the first one that is lost
  EventKind kind = EventKind::lost;
  EventSeverity severity = EventSeverity::note;
  std::chrono::system_clock::time_point when;  ///< what the clock of its writer said; not of lost ones
  std::string operation;                       ///< that it is about; empty: another thing
  std::string subject;      ///< the key, the program or the transition that it is about; any bytes
  std::uint64_t value = 0;  ///< a number, by its kind: see event_text(); how many are lost
  std::uint64_t of = 0;     ///< the number beside it, by its kind
  std::string program;      ///< the program that wrote it; any bytes
  std::uint32_t pid = 0;    ///< of that program, in its own PID namespace; 0: not known
  std::uint32_t uid = 0;
};

/// Says in words what an entry tells of, without its operation and its writer. It may contain any bytes.
[[nodiscard]] WEIR_EXPORT std::string event_text(const EventEntry& entry);

struct EventQuery {
  /// Only later ones. A number that the journal has not reached, as of an earlier segment of this name, counts as 0.
  std::uint64_t after = 0;
  std::optional<std::chrono::system_clock::time_point> since{};  ///< only those written then or later
  std::vector<EventKind> kinds{};                                ///< only these, and what is lost; empty: all
  std::size_t limit =
      0;  ///< at most this many: the first ones if `after` is set, else the newest; 0: no limit
};

struct EventPage {
  std::vector<EventEntry> events;  ///< in the order of the host
  std::uint64_t last = 0;          ///< up to which number it is complete: `after` of the next page
};

/// Lists records of the journal, which keeps the last 4,096, through a read-only mapping. It changes nothing, and
/// works with all workers stopped or dead. A record that its writer has not finished within 0.1 s is lost.
/// Errors  As Limiter::attach.
/// Cost    One pass over the records; up to 0.1 s if one of them is unfinished.
[[nodiscard]] WEIR_EXPORT Result<EventPage> list_events(std::string_view segment,
                                                        const EventQuery& query) noexcept;

}  // namespace weir
