#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/admission.hpp"
#include "weir/clock.hpp"
#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/export.hpp"
#include "weir/policy.hpp"

namespace weir {

namespace detail {
class SegmentBinding;
}  // namespace detail

/// One request, as the limits see it.
struct Request {
  /// Who asks: any bytes; only a keyed hash of them is kept. Empty: the limits per user do not apply.
  std::string_view user{};
  /// Tokens to spend under every rate, at least 1.
  std::uint32_t cost = 1;
  /// Permits to hold under every concurrency limit, at least 1.
  std::uint32_t weight = 1;
};

/// A kind of work, looked up once: `limiter.operation("caption_generation")`.
/// Belongs to the limiter that gave it, and to its copies in forked children.
enum class Operation : std::uint16_t {};

/// When a private segment begins, and with what: for simulations and replays that give the same answer at
/// every run.
struct Beginning {
  /// The earliest time that admit_at() tells apart: earlier ones count as this one. The segment serves
  /// for 3.4 years from here.
  HostClock::time_point at;
  /// What the wall clock shows then, in 1970 or later: fixed windows lie as on that calendar. Other windows
  /// whose cells lie at multiples of something count them from `at`.
  std::chrono::system_clock::time_point wall;
  /// Segments of one seed hash users in the same way, so that they forget the same ones when their tables are
  /// full.
  std::uint64_t seed = 0;
};

/// What a reset did: how many words it returned to "never seen".
struct ResetReport {
  std::uint64_t limits = 0;  ///< shared limits set back
  std::uint64_t users = 0;   ///< entries of users set back
};

/// What a sweep brought back.
struct ReapReport {
  std::uint32_t workers = 0;  ///< dead workers whose slots are free again
  std::uint64_t permits = 0;  ///< permits that they held
};

/// Decides, together with all other processes of the host that opened the same segment, what may proceed.
///
/// Open it once, before forking (the preforked pattern) or in each worker: both share the same limits.
///
/// Concurrency  admit and the other noexcept calls: any thread of any attached process, lock-free.
///              Opening, moving and destroying: one thread, as with any object.
/// Crash        a process may be killed or stopped between any two instructions: nobody waits for it.
class WEIR_EXPORT Limiter {
 public:
  /// Attaches to the segment that `config` names, or creates it. Of many processes that start at once,
  /// one creates it and all share it.
  ///
  /// A segment that is there goes on with the limits in force, which somebody may have changed live: `config`
  /// is for the one who creates it. To change a running one, see control.hpp.
  ///
  /// Errors  Errc::config; with on_fault = "refuse" also Errc::no_space, permission, incompatible, damaged,
  /// foreign, system. Cost    creation touches every page (reserve = true): about 0.3 s a GiB. Attaching:
  /// under 1 ms.
  [[nodiscard]] static Result<Limiter> open(const Config& config) noexcept;

  /// A segment without a name, shared with forked children only and gone with the last of them:
  /// for tests, simulations and servers that need no inspector.
  [[nodiscard]] static Result<Limiter> open_private(const Config& config) noexcept;

  /// The same with a clock of the caller's: decide with admit_at() only, which then depends on nothing but
  /// its arguments.
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
  /// An admission must not outlive its limiter. If one does, on a thread that still runs while exit()
  /// destroys static objects, say, then the limiter's memory and slot stay until the process ends, and what
  /// it holds comes back then.
  /// Cost  a look at all permits, and, where users have permits, at the part of the user table that was ever
  ///       written.
  ~Limiter();

  /// Looks an operation up by its name in the configuration.
  /// Errors  Errc::not_in_segment, naming the nearest operation.
  [[nodiscard]] Result<Operation> operation(std::string_view name) const noexcept;

  /// Decides whether one request may proceed now, and charges every limit if so: all of them or none.
  ///
  /// @return  true: proceed. false: `verdict()`, `limit()` and `retry_after()` say why and until when.
  ///
  /// Errors       none; an unknown operation or a cost of 0 is refused as Verdict::invalid. A worker that
  ///              finds no slot of its own (see join) is shed by the concurrency limits.
  /// Crash        killed inside: at most this request's tokens are lost, and time refills them; its permits
  ///              are swept.
  /// Cost         one clock read, one hash of the user, a load per limit to refuse, and one compare-exchange
  ///              per limit to admit; under a concurrency limit one look at each of its cells at most,
  ///              whatever the weight. No allocation, no system call, but for the first call of a process,
  ///              and for sweeping.
  /// Sweeping     one request of all that are about to be shed sweeps up after the dead, at most once in 10
  ///              ms per segment; the others do not wait for it. It asks the kernel for up to 512 workers,
  ///              and the kernel looks through the locks of all workers to answer for one: so twice the
  ///              workers take four times as long, and beyond 512 workers twice as long. Of
  ///              more than 512 workers those whose pid is gone are found by the next sweep, any other within
  ///              eight. It also looks at all permits, and, if one is dead and users have permits, at the
  ///              part of the user table that was ever written.
  [[nodiscard]] Admission admit(Operation operation, const Request& request = {}) noexcept;
  /// The same by name: one more hash look-up.
  [[nodiscard]] Admission admit(std::string_view operation, const Request& request = {}) noexcept;

  /// As `admit`, at a time of the caller's: for simulations and replays on a private segment.
  /// A time that runs ahead on a shared segment spends the tokens of others.
  [[nodiscard]] Admission admit_at(HostClock::time_point now, Operation operation,
                                   const Request& request = {}) noexcept;

  /// What `admit` would answer now, charging nothing.
  [[nodiscard]] Decision peek(Operation operation, const Request& request = {}) noexcept;

  /// Spends `request.cost` under every rate and window, whether it is there or not: for a cost that is known
  /// only after the work. Whoever overdraws waits the longer for it. Limits that only count are charged too.
  void charge(Operation operation, const Request& request) noexcept;

  /// Gives back what an admission was charged and time has not refilled, and releases it: no work was done.
  /// Limits that only count keep it: they do not remember whether they would have admitted it.
  /// @param operation, request  the same as with `admit`.
  void refund(Operation operation, const Request& request, Admission& admission) noexcept;

  /// Counts a request in the fixed windows that it passes, above their limits too, and refuses nothing: for
  /// those who want the count and decide for themselves. Enforced and counting windows alike.
  /// @return  the window with the highest count over its limit; nothing if there is no fixed one.
  [[nodiscard]] std::optional<WindowCount> count(Operation operation, const Request& request = {}) noexcept;

  /// What is left of every enforced rate and window that a request passes, the global ones first: for the
  /// header fields of an answer (http.hpp). Allocates.
  [[nodiscard]] std::vector<Quota> quotas(Operation operation, const Request& request = {}) noexcept;

  /// Why this limiter decides without its segment (segment.on_fault = "admit" or "local"), which it looks for
  /// once a second; or why this process has no worker slot (all are taken, or it may not open the segment),
  /// so that it gets no permits and probes no breaker until it has one. Nothing while neither is so.
  [[nodiscard]] std::optional<Error> fault() const;

  /// Admits, calls `work`, reports what came of it to the breaker, and releases.
  ///
  /// @param work    called without arguments if the request is admitted; what it throws counts as a failure,
  ///                and goes on to the caller.
  /// @param failed  says of what `work` returned whether it counts as a failure. By default nothing does.
  /// @return        the decision, and what `work` returned if it was called.
  template <class Work, class Failed = std::false_type>
  auto run(Operation operation, const Request& request, Work&& work, Failed&& failed = {}) {
    using Value = std::conditional_t<std::is_void_v<std::invoke_result_t<Work&>>, std::monostate,
                                     std::invoke_result_t<Work&>>;
    std::pair<Decision, std::optional<Value>> result;
    Admission admission = admit(operation, request);
    result.first = admission.decision();
    if (!admission) return result;
    struct Guard {  // reports a failure if `work` throws
      Admission& admission;
      ~Guard() { admission.fail(); }
    } const guard{admission};
    if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
      work();
      result.second.emplace();
    } else {
      result.second.emplace(work());
      if constexpr (std::is_invocable_r_v<bool, Failed&, const Value&>) {
        if (failed(*result.second)) return result;
      }
    }
    admission.succeed();
    return result;
  }

  /// Gives this process a worker slot, if it has none. `open` and `attach` do it; in a forked
  /// child the first `admit` does. Call it where you want to see the error.
  ///
  /// Errors  Errc::no_space: all of segment.workers are alive; Errc::permission: the child changed its user
  /// and may
  ///         not open the segment (set segment.group).
  [[nodiscard]] Result<void> join() noexcept;

  /// Returns what dead workers held: for a master process after it reaped a child. Nobody needs to: an
  /// `admit` that is about to be shed does the same.
  ///
  /// Crash  killed inside: the next sweep does the rest.
  /// Cost   one system call per worker slot in use, each of which takes longer in proportion to the slots in
  ///        use; a pass over all permits, and, if a worker died, over all users.
  ReapReport reap() noexcept;

  /// The key of a limit in the configuration: "operations.caption_generation.user.rate[1]".
  /// Empty for LimitId::none and unknown ids.
  [[nodiscard]] std::string limit_name(LimitId limit) const noexcept;

  /// The limits in force, as the segment holds them now.
  [[nodiscard]] Config config() const;

  /// Sets everything back to "never seen": all limits and all users.
  /// Concurrency  one compare-exchange per word, beside running admissions; whoever is admitted
  ///              meanwhile is charged before or after the reset, never half.
  ResetReport reset() noexcept;
  /// The same for one operation and its users.
  ResetReport reset(Operation operation) noexcept;
  /// The same for one user under all limits.
  ResetReport reset_user(std::string_view user) noexcept;

 private:
  explicit Limiter(std::unique_ptr<detail::SegmentBinding> binding) noexcept;
  std::unique_ptr<detail::SegmentBinding> binding_;
};

/// Removes the name of a segment; the next `open` creates another. Processes that have it open go on with it
/// until there is another, and move there at their next call. Until then each of their calls looks for it, by
/// one system call. Where the caller may remove the name and not write to the file, or the name was removed
/// by other means, they look once a second.
/// Errors  Errc::not_found, Errc::permission.
[[nodiscard]] WEIR_EXPORT Result<void> remove_segment(std::string_view segment) noexcept;

}  // namespace weir
