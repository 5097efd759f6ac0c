// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "weir/admission.hpp"
#include "weir/clock.hpp"
#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/inspect.hpp"
#include "weir/policy.hpp"
#include "weir/run.hpp"
#include "weir/ticket.hpp"

namespace weir {

namespace detail {
class SegmentBinding;
}  // namespace detail

/// What a request that may wait waits for.
enum class WaitFor : std::uint8_t {
  permits = 0,  ///< for a permit
  permits_and_rates =
      1  ///< also for the tokens of a rate, or the room of a window, that come within the wait
};

/// As a request's `wait`: for as long as its operation lets a request wait.
inline constexpr std::chrono::nanoseconds kAsConfigured = std::chrono::nanoseconds::max();

/// Names a stop token of the caller, which must live as long as this: as with the user of a request, nothing is copied.
class StopRef {
 public:
  constexpr StopRef() = default;
  constexpr StopRef(const std::stop_token& token) noexcept : token_(&token) {}  // NOLINT: a token is one
  /// nullptr: nothing can stop it.
  [[nodiscard]] constexpr const std::stop_token* get() const noexcept { return token_; }

 private:
  const std::stop_token* token_ = nullptr;
};

/// What one request asks of the limits.
struct Request {
  /// The user that asks, in any bytes; only a keyed hash of them is kept. If empty, the limits per user do
  /// not apply.
  std::string_view user{};
  /// Tokens to spend under every rate; at least 1.
  std::uint32_t cost = 1;
  /// Permits to hold under every concurrency limit; at least 1.
  std::uint32_t weight = 1;
  /// From 1 to 5, the most urgent: which of the requests that wait goes first. Another number counts as the nearest.
  std::uint8_t priority = 3;
  WaitFor wait_for = WaitFor::permits;
  /// How long `admit` may sleep in the queue of the operation until the request can pass; at most the `timeout` of the
  /// operation. 0: not at all.
  std::chrono::nanoseconds wait{0};
  /// Ends the wait when a stop is requested: a std::stop_token.
  StopRef stop{};
};

/// A kind of work, looked up once: `limiter.operation("caption_generation")`.
/// It is valid with the limiter that returned it, and with the copies of that limiter in forked children.
enum class Operation : std::uint16_t {};

/// When a private segment begins, and with which seed: for simulations and replays that must give the same
/// answer at every run.
struct Beginning {
  /// The earliest time that admit_at() distinguishes; earlier times count as this one. The segment can be
  /// used for 3.4 years from here.
  HostClock::time_point at;
  /// What the wall clock shows at that moment, in 1970 or later. Fixed windows are aligned to that calendar;
  /// the cells of other windows are aligned to `at`.
  std::chrono::system_clock::time_point wall;
  /// Segments with the same seed hash users in the same way, so they evict the same users when their tables
  /// are full.
  std::uint64_t seed = 0;
};

/// How many words a reset returned to "never seen".
struct ResetReport {
  std::uint64_t limits = 0;  ///< shared limits that were reset
  std::uint64_t users = 0;   ///< entries of users that were reset
};

/// What a sweep recovered from dead workers.
struct ReapReport {
  std::uint32_t workers = 0;  ///< dead workers whose slots are free again
  std::uint64_t permits = 0;  ///< permits that they held
};

/// Decides which requests may proceed, together with all other processes of the host that opened the same
/// segment.
///
/// Open it once before forking (the preforked pattern), or in each worker: either way the workers share the
/// same limits.
///
/// Concurrency  Any thread of any attached process may call admit and the other noexcept functions, which are
///              lock-free. As with any object, only one thread may open, move or destroy it.
/// Crash        A process may be killed or stopped between any two instructions; no other process waits for
///              it.
class WEIR_EXPORT Limiter {
 public:
  /// Attaches to the segment that `config` names, or creates it. If many processes start at once, one of them
  /// creates it and all share it.
  ///
  /// A segment that exists keeps the limits in force, which an operator may have changed live; the limits of
  /// `config` serve only to create one, unless segment.on_difference says otherwise. To change a running
  /// segment, see control.hpp.
  ///
  /// Errors  Errc::config; with on_fault = "refuse" also Errc::no_space, permission, incompatible, damaged,
  ///         foreign, conflict, system.
  /// Cost    Creation touches every page (reserve = true), which takes about 0.3 s per GiB. Attaching takes
  ///         less than 1 ms.
  [[nodiscard]] static Result<Limiter> open(const Config& config) noexcept;

  /// Creates a segment without a name. Only forked children share it, and it goes with the last of them: for
  /// tests, simulations, and servers that need no inspector. A process that forks after it has closed all its
  /// descriptors gets children without permits, because the segment has no name by which they could open it.
  [[nodiscard]] static Result<Limiter> open_private(const Config& config) noexcept;

  /// Creates a private segment that runs on the caller's clock. Decide with admit_at() only: its answers then depend
  /// on nothing but its arguments.
  [[nodiscard]] static Result<Limiter> open_private(const Config& config,
                                                    const Beginning& beginning) noexcept;

  /// Attaches to an existing segment and its limits.
  /// Errors  Errc::not_found, and as `open`.
  [[nodiscard]] static Result<Limiter> attach(std::string_view segment) noexcept;

  Limiter(Limiter&&) noexcept;
  Limiter& operator=(Limiter&&) noexcept;
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;
  /// Gives the worker slot of this process back.
  ///
  /// An admission must not outlive its limiter. If one does (for example on a thread that still runs while
  /// exit() destroys static objects), the limiter keeps its memory and its slot until the process ends, and
  /// what the admission holds comes back then.
  /// Cost  One pass over all permits and, where users have permits, over the part of the user table that was
  ///       ever written.
  ~Limiter();

  /// Looks an operation up by its name in the configuration.
  /// Errors  Errc::not_in_segment, naming the nearest operation.
  [[nodiscard]] Result<Operation> operation(std::string_view name) const noexcept;

  /// Decides whether one request may proceed now. If it may, every limit is charged; if not, none is.
  ///
  /// @return  true: proceed. false: `verdict()`, `limit()` and `retry_after()` say why and until when.
  ///
  /// Waiting   If the request says how long it may wait and the operation has a queue, a request that lacks a permit
  ///           sleeps in that queue until it can pass, and is shed if it cannot: `decision().cause` says why, and
  ///           `decision().waited` how long it waited. Whatever gives something back on this host wakes the waiter
  ///           whose turn it is. No request that comes later passes before it, unless that is more urgent, or this
  ///           one gets no processor for 2 ms when it is its turn. A thread that sleeps wakes up every 50 ms to
  ///           look whether a process was killed that should have woken it.
  /// Errors    None. An unknown operation, or a cost or weight of 0, is refused as Verdict::invalid. The
  ///           concurrency limits shed the requests of a worker that has no slot of its own (see join).
  /// Crash     If the process is killed inside, at most the tokens of this request are lost, and time refills
  ///           them; its permits are swept.
  /// Cost      One clock read and one hash of the user. A refusal loads one word per limit; an admission
  ///           makes one compare-exchange per limit. A concurrency limit looks at each of its cells at most
  ///           once, whatever the weight. It allocates nothing and makes no system call, except in the first call
  ///           of a process, for sweeping, and where limits are compiled: in the first call for an operation, and
  ///           in the first one after a live change.
  /// Sweeping  At most once in 10 ms per segment, one of the requests that are about to be shed sweeps up
  ///           after dead workers; the others do not wait for it. A sweep asks the kernel about up to 512
  ///           workers, and for each the kernel walks through the locks of all workers: twice the workers
  ///           take four times as long, and beyond 512 workers twice as long. Of more than 512 workers, those
  ///           whose pid is gone are found by the next sweep, and any other within eight. A sweep also looks
  ///           at all permits and, if a worker is dead and users have permits, at the part of the user table
  ///           that was ever written.
  [[nodiscard]] Admission admit(Operation operation, const Request& request = {}) noexcept;
  /// Decides for an operation that is looked up by name, which takes one more hash and look-up.
  [[nodiscard]] Admission admit(std::string_view operation, const Request& request = {}) noexcept;

  /// Decides as `admit` does, but where a request would sleep in the queue it returns at once: for event loops. The
  /// request and its user are copied, and so is the stop token.
  /// Cost  As `admit`; it allocates. If memory runs out, the ticket's answer is `shed`.
  [[nodiscard]] Ticket enqueue(Operation operation, const Request& request) noexcept;

  /// Decides as `admit` does, at a time that the caller chooses: for simulations and replays on a private
  /// segment. It does not wait. On a shared segment a time that runs ahead spends the tokens of other callers.
  [[nodiscard]] Admission admit_at(HostClock::time_point now, Operation operation,
                                   const Request& request = {}) noexcept;

  /// Answers what `admit` would answer now, and charges nothing.
  [[nodiscard]] Decision peek(Operation operation, const Request& request = {}) noexcept;

  /// Spends `request.cost` under every rate and window, even if that much is not left: for a cost that is
  /// known only after the work. A caller that overdraws waits correspondingly longer.
  /// Limits that only count are charged, too.
  void charge(Operation operation, const Request& request) noexcept;

  /// Releases an admission under which no work was done, and gives back what it was charged and time has not
  /// refilled yet. Limits that only count keep it: they do not remember whether they would have admitted it. Nothing
  /// comes back under limits of an operation that has got another limit meanwhile, since it may not have been charged
  /// under all of them.
  /// @param operation, request  those that were passed to `admit`.
  void refund(Operation operation, const Request& request, Admission& admission) noexcept;

  /// Counts a request in its fixed windows, also above their limits, and refuses nothing: for callers that
  /// want the count and decide for themselves. Windows that only count are counted, too.
  /// @return  the window whose count is highest in proportion to its limit; nothing if the request has
  ///          no fixed window.
  [[nodiscard]] std::optional<WindowCount> count(Operation operation, const Request& request = {}) noexcept;

  /// Tells what is left of every enforced rate and window of a request, the global ones first: for the header
  /// fields of an answer (http.hpp). Allocates.
  [[nodiscard]] std::vector<Quota> quotas(Operation operation, const Request& request = {}) noexcept;

  /// Tells why this limiter decides without its segment (segment.on_fault = "admit" or "local"); it looks for
  /// the segment once a second. Or tells why this process has no worker slot (all are taken, or it may not
  /// open the segment): until it has one, it gets no permits and probes no breaker. Nothing if all is well.
  [[nodiscard]] std::optional<Error> fault() const;

  /// Admits a request, calls `work`, reports its outcome to the breaker, and releases the admission.
  ///
  /// @param work    called without arguments if the request is admitted. What it throws reaches the caller.
  /// @param failed  says what counts as a failure. If it can be called with what `work` returned, it is asked about
  ///                results; if it can be called with a std::exception_ptr, or else with a const std::exception&, it is
  ///                asked about exceptions. It returns whether that is a failure, or an Outcome. What it is not asked
  ///                about is a failure if it is an exception, and none if it is a result. Name the type of its
  ///                argument, and see Failures to ask about both.
  /// @return        the decision, and what `work` returned if it was called. See with_fallback().
  template <class Work, class Failed = detail::OnlyExceptions>
  auto run(Operation operation, const Request& request, Work&& work, Failed&& failed = {})
      -> RunResult<detail::Returned<Work>> {
    Admission admission = admit(operation, request);
    if (!admission) return {admission.decision()};
    return detail::run_admitted(admission, work, failed);
  }

  /// Gives this process a worker slot, if it has none. `open` and `attach` do so; in a forked child the first
  /// `admit` does. Call it where you want to see the error.
  ///
  /// Errors  Errc::no_space: all segment.workers slots belong to living processes; Errc::permission: the
  ///         child changed its user and may not open the segment (set segment.group).
  [[nodiscard]] Result<void> join() noexcept;

  /// Returns what dead workers held. Call it from a master process after it reaped a child. It is optional:
  /// an `admit` that is about to be shed does the same.
  ///
  /// Crash  If the process is killed inside, the next sweep does the rest.
  /// Cost   One system call per worker slot in use, each of which takes longer in proportion to the slots in
  ///        use; one pass over all permits and, if a worker died, over all users.
  ReapReport reap() noexcept;

  /// The key of a limit in the configuration, such as "operations.caption_generation.user.rate[1]"; empty for
  /// LimitId::none and for unknown ids.
  [[nodiscard]] std::string limit_name(LimitId limit) const noexcept;

  /// The name of an operation; empty if it has been taken out.
  [[nodiscard]] std::string operation_name(Operation operation) const noexcept;

  /// The limits in force, as the segment holds them now.
  [[nodiscard]] Config config() const;

  /// Copies the state of the segment that this limiter decides over, also of a private one, which no other process can
  /// look at. report.hpp writes it as text, as JSON and for Prometheus.
  /// Errors  Errc::damaged.
  /// Cost    As take_snapshot().
  [[nodiscard]] Result<Snapshot> snapshot() const noexcept;

  /// Resets everything to "never seen": all limits and all users. It is not in the history; reset_limits() in
  /// control.hpp is.
  /// Concurrency  One compare-exchange per word, while admissions go on. A request that is admitted meanwhile
  ///              is charged before or after the reset of each word, never by half.
  ResetReport reset() noexcept;
  /// Resets the limits of one operation, and its users.
  ResetReport reset(Operation operation) noexcept;
  /// Resets one user under all limits.
  ResetReport reset_user(std::string_view user) noexcept;

 private:
  explicit Limiter(std::unique_ptr<detail::SegmentBinding> binding) noexcept;
  std::unique_ptr<detail::SegmentBinding> binding_;
};

/// Removes the name of a segment; the next `open` creates another. Processes that have the old one open keep
/// using it until there is a new one, and move to that at their next call. Until then each of their calls
/// looks for it with one system call. If the caller may remove the name but not write to the file, or if the
/// name was removed by other means, they look once a second.
/// Errors  Errc::not_found, Errc::permission.
[[nodiscard]] WEIR_EXPORT Result<void> remove_segment(std::string_view segment) noexcept;

}  // namespace weir
