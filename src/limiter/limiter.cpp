#include "weir/limiter.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>

#include "base/fast_clock.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "limiter/decide.hpp"
#include "limiter/sweeper.hpp"
#include "policy/compile.hpp"
#include "policy/schema.hpp"
#include "policy/shared_window.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): the facade is written in the words of its
                         // layers

Expected<std::optional<gid_t>> find_group(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const ::group* found =
      ::getgrnam(name.c_str());  // NOLINT(concurrency-mt-unsafe): opening is one thread's business
  if (found == nullptr) {
    return fail(Errc::config, fmt::format("segment.group: this host has no group \"{}\"", name),
                "use a group of /etc/group");
  }
  return found->gr_gid;
}

void write_new(const Segment& segment, const Config& config) {
  const std::span<std::byte> settings = segment.section(kSettingsSection, sizeof(SettingsRecord));
  const SettingsRecord record = settings_of(config);
  static_assert(std::has_unique_object_representations_v<SettingsRecord>,
                "padding would make checksums differ");
  std::memcpy(settings.data(), &record, sizeof(record));
  if (const auto sections = Sections::of(segment)) {
    write_config(*sections, config, KeyHasher(segment.header().secret));
  }
}

Expected<Segment> publish(const Config& config, std::string_view name) {
  auto group = find_group(config.segment.group);
  if (!group) return tl::make_unexpected(group.error());
  const std::vector<SectionSpec> sections = sections_for(config);
  const PublishSpec spec{.name = std::string(name),
                         .mode = config.segment.mode,
                         .group = *group,
                         .reserve = config.segment.reserve,
                         .abi_fingerprint = kAbiFingerprint,
                         .sections = sections};
  return Segment::publish(spec, [&](const Segment& segment) { write_new(segment, config); });
}

// Attaches first: of many starting processes all but one find the segment there. Whoever loses the race to
// publish attaches to the winner's; the loop ends unless somebody removes the segment again and again.
Expected<Segment> attach_or_publish(const Config& config) {
  constexpr int kAttempts = 100;
  const std::string& name = config.segment.name;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto attached = Segment::attach(name, OpenMode::read_write, kAbiFingerprint);
    if (attached || attached.error().code != Errc::not_found) return attached;
    auto published = publish(config, name);
    if (published || published.error().code != Errc::conflict) return published;
  }
  return fail(Errc::system, fmt::format("segment \"{}\": somebody keeps creating and removing it", name), "");
}

}  // namespace

/// A segment with everything that decides over it.
class detail::LimiterImpl {
 public:
  LimiterImpl(Segment segment, const Sections& sections)
      : segment_(std::move(segment)),
        sections_(sections),
        hasher_(segment_.header().secret),
        users_(sections_.users, sections_.user_counters),
        registry_(sections_.workers, segment_),
        sweeper_(registry_, sections_, users_),
        decider_(sections_, users_) {}

  static Expected<std::unique_ptr<LimiterImpl>> over(Expected<Segment> segment) {
    if (!segment) return tl::make_unexpected(segment.error());
    auto sections = Sections::of(*segment);
    if (!sections) return tl::make_unexpected(sections.error());
    auto impl = std::make_unique<LimiterImpl>(std::move(*segment), *sections);
    if (auto joined = impl->join(); !joined) return tl::make_unexpected(joined.error());
    return impl;
  }

  /// The index of an operation; nothing if there is none of that name.
  [[nodiscard]] std::optional<std::uint16_t> find(std::string_view operation) const noexcept {
    const std::uint32_t block = find_block(sections_.operation_index, hasher_(operation));
    if (block == 0) return std::nullopt;
    return static_cast<std::uint16_t>(block - kFirstOperation);
  }

  template <class Clock>
  Admission admit(Operation operation, const Request& request, Clock&& clock) noexcept {
    Admission admission{{Verdict::invalid, LimitId::none, {}}};  // filled in where the caller will have it
    Ask ask;
    if (!prepare(ask, operation, request)) return admission;
    const std::uint64_t now = ticks_at(segment_.header(), clock());
    identify(ask, now);
    Holding& holding = admission.holding_;
    admission.decision_ = decider_.admit(ask, now, holding);
    if (admission.verdict() == Verdict::shed && sweeper_.sweep_if_due(now)) {
      admission.decision_ = decider_.admit(ask, now, holding);
    }
    if (admission.verdict() == Verdict::throttled) decider_.note_refusal(ask, now, admission.limit());
    if (decider_.counts(ask)) decider_.count(ask, now, static_cast<bool>(admission), holding);
    if (admission && (holding.has_call || holding.permits + holding.user_permits != 0)) {
      holding.limiter = this;
      holding.operation = static_cast<std::uint16_t>(operation);
    }
    return admission;
  }

  Decision peek(Operation operation, const Request& request) noexcept {
    Ask ask;
    if (!prepare(ask, operation, request)) return {Verdict::invalid, LimitId::none, {}};
    const std::uint64_t now = ticks_at(segment_.header(), FastClock::now());
    identify(ask, now);
    return decider_.peek(ask, now);
  }

  void charge(Operation operation, const Request& request) noexcept {
    Ask ask;
    if (prepare(ask, operation, request)) decider_.charge(ask, ticks_at(segment_.header(), FastClock::now()));
  }

  void refund(Operation operation, const Request& request, Admission& admission) noexcept {
    Ask ask;
    if (!admission || !prepare(ask, operation, request)) return;
    decider_.refund(ask, ticks_at(segment_.header(), FastClock::now()), admission.holding_.admitted_at);
    admission.release();
    admission.decision_ = {Verdict::invalid, LimitId::none, {}};
  }

  /// Tells the breaker, then gives back what is held.
  void finish(const Holding& holding, Outcome outcome) noexcept {
    if (holding.has_call) report(holding, outcome);
    release(holding);
  }

  void report(const Holding& holding, Outcome outcome) noexcept {
    const BreakerTicket ticket{holding.call.probe, holding.call.generation, holding.call.cell};
    // A copy in a forked child: the parent's probe is not ours to judge.
    if (ticket.probe != 0 && !registry_.was_self(Owner::from_bits(holding.owner))) return;
    BreakerRecord& record = sections_.breaker(kFirstOperation + holding.operation);
    const BreakerParams params = record.params.load();
    const bool plain =
        outcome != Outcome::failure && ticket.probe == 0 && params.failure_rate + params.slow_rate == 0;
    // The time is asked for only where it can matter.
    const std::uint64_t now = plain ? holding.admitted_at : ticks_at(segment_.header(), FastClock::now());
    record.breaker.report(params, ticket, static_cast<BreakerOutcome>(outcome), now - holding.admitted_at,
                          now);
  }

  void release(const Holding& holding) noexcept {
    // A copy of the parent's admission in a forked child: the parent's permits are not ours to give.
    if (!registry_.was_self(Owner::from_bits(holding.owner))) return;
    const std::uint32_t late = decider_.release(holding);
    if (late != 0) sections_.swept->late_releases.fetch_add(late, std::memory_order_relaxed);
  }

  Expected<Identity> join() {
    const std::uint64_t now = ticks_at(segment_.header(), HostClock::now());
    auto joined = registry_.join(now);
    if (!joined && joined.error().code == Errc::no_space && sweeper_.sweep().workers != 0)
      joined = registry_.join(now);
    return joined;
  }

  ReapReport reap() noexcept { return sweeper_.sweep(); }

  ResetReport reset() noexcept {
    return reset_if([](std::uint32_t /*block*/) { return true; });
  }

  ResetReport reset(Operation operation) noexcept {
    const std::uint32_t wanted = kFirstOperation + static_cast<std::uint32_t>(operation);
    return reset_if([=](std::uint32_t block) { return block == wanted; });
  }

  ResetReport reset_user(std::string_view user) noexcept {
    const UserKey key = users_.key(hasher_(user));
    ResetReport report;
    for (std::uint32_t index = 0; index < kMaxBlocks; ++index) {
      const std::uint64_t present = sections_.blocks[index].present.load(std::memory_order_acquire);
      for (const std::uint32_t line :
           LineRange(static_cast<LineMask>(present | present >> 32) & lines::kUser)) {
        if (kind_of(line) == LimitKind::permits) continue;
        const UserLimit entry{static_cast<std::uint16_t>(LimitPlace{index, line}.id()), 0};
        report.users += users_.modify(key, entry, nullptr, to_never_seen) ? 1 : 0;
      }
    }
    return report;
  }

  [[nodiscard]] const Sections& sections() const noexcept { return sections_; }
  [[nodiscard]] Config config() const { return read_config(sections_, segment_.name()); }

 private:
  static std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
    return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
  }

  // Everything that needs no clock. The user's entries are fetched while it is read and the shared words are
  // looked at.
  bool prepare(Ask& ask, Operation operation, const Request& request) noexcept {
    ask.operation = kFirstOperation + static_cast<std::uint32_t>(operation);
    const bool known = static_cast<std::uint32_t>(operation) < sections_.operations();
    if (!known || request.cost == 0 || request.weight == 0) return false;
    ask.cost = request.cost;
    ask.weight = request.weight;
    if (request.user.empty()) return true;
    ask.name = request.user;
    ask.user = hasher_(request.user);
    ask.key = users_.key(ask.user);
    ask.has_user = true;
    users_.prefetch(ask.key);
    if (sections_.control->overrides.load(std::memory_order_relaxed) != 0) {
      ask.user_block = find_block(sections_.override_index, ask.user);
    }
    return true;
  }

  void identify(Ask& ask, std::uint64_t now) noexcept {
    auto mine = registry_.self();
    if (!mine) mine = join_again(now);
    if (!mine) return;
    ask.owner = mine->owner();
    // Every worker and thread looks for free permits at a place of its own; stacks lie megabytes apart.
    const auto thread = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(&ask) >> 20);
    ask.home = (mine->slot + 1) * 0x9e37'79b1U + thread * 0x85eb'ca6bU;
  }

  // The first call of a process, and of one that was taken for dead. Where there is no slot to be had, not
  // every call pays for trying.
  std::optional<Identity> join_again(std::uint64_t now) noexcept {
    constexpr std::uint64_t kRetry = ticks_from_ns(10'000'000);
    std::uint64_t next = next_join_.load(std::memory_order_relaxed);
    if (now < next || !next_join_.compare_exchange_strong(next, now + kRetry, std::memory_order_relaxed)) {
      return std::nullopt;
    }
    try {
      if (const auto joined = join()) {
        next_join_.store(0, std::memory_order_relaxed);
        return *joined;
      }
    } catch (const std::exception&) {  // out of memory: as without a slot
    }
    return std::nullopt;
  }

  bool reset_line(std::uint32_t index, std::uint32_t line) noexcept {
    LimitLine& limit = sections_.blocks[index].limits[line];
    switch (kind_of(line)) {
      case LimitKind::rate:
      case LimitKind::cooldown:
        TokenBucket(limit.state).reset();
        return true;
      case LimitKind::window:
        SharedWindow(limit, sections_.window_cells, sections_.created_wall_ns).reset();
        return true;
      case LimitKind::breaker: {
        BreakerRecord& record = sections_.breaker(index);
        const bool counts_only =
            record.breaker.status(record.params.load(), 0).kind == BreakerKind::metrics_only;
        record.breaker.set(counts_only ? BreakerKind::metrics_only : BreakerKind::closed);
        return true;
      }
      case LimitKind::permits:
        break;  // held by somebody: reap, if by the dead
    }
    return false;
  }

  template <class Wanted>
  ResetReport reset_if(Wanted&& wanted) noexcept {
    ResetReport report;
    for (std::uint32_t index = 0; index < kMaxBlocks; ++index) {
      Block& block = sections_.blocks[index];
      const std::uint64_t present = block.present.load(std::memory_order_acquire);
      if (!wanted(index)) continue;
      for (const std::uint32_t line :
           LineRange(static_cast<LineMask>(present | present >> 32) & lines::kShared)) {
        if (reset_line(index, line)) ++report.limits;
      }
    }
    report.users =
        users_.modify_all([&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
          const LimitPlace place = LimitPlace::of(LimitId{entry.id});
          return kind_of(place.line) != LimitKind::permits && wanted(place.block) ? to_never_seen(state)
                                                                                  : std::nullopt;
        });
    return report;
  }

  Segment segment_;
  Sections sections_;
  KeyHasher hasher_;
  UserTable users_;
  Registry registry_;
  Sweeper sweeper_;
  Decider decider_;
  std::atomic<std::uint64_t> next_join_{0};  // ticks; after a failure to join
};

namespace {

// Nothing thrown leaves the library: out of memory on a cold path is an error like any other.
template <class Call>
auto guarded(Call&& call) noexcept -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& e) {
    return Error{Errc::system, e.what(), ""};
  }
}

}  // namespace

Limiter::Limiter(std::unique_ptr<LimiterImpl> impl) noexcept : impl_(std::move(impl)) {}
Limiter::Limiter(Limiter&&) noexcept = default;
Limiter& Limiter::operator=(Limiter&&) noexcept = default;
Limiter::~Limiter() = default;

Result<Limiter> Limiter::open(const Config& config) noexcept {
  return guarded([&]() -> Result<Limiter> {
    if (auto valid = validate(config); !valid) return valid.error();
    auto impl = LimiterImpl::over(attach_or_publish(config));
    if (!impl) return impl.error();
    return Limiter(std::move(*impl));
  });
}

Result<Limiter> Limiter::open_private(const Config& config) noexcept {
  return guarded([&]() -> Result<Limiter> {
    if (auto valid = validate(config); !valid) return valid.error();
    auto impl = LimiterImpl::over(publish(config, ""));
    if (!impl) return impl.error();
    return Limiter(std::move(*impl));
  });
}

Result<Limiter> Limiter::attach(std::string_view segment) noexcept {
  return guarded([&]() -> Result<Limiter> {
    auto impl = LimiterImpl::over(Segment::attach(segment, OpenMode::read_write, kAbiFingerprint));
    if (!impl) return impl.error();
    return Limiter(std::move(*impl));
  });
}

Result<Operation> Limiter::operation(std::string_view name) const noexcept {
  return guarded([&]() -> Result<Operation> {
    if (const auto found = impl_->find(name)) return Operation{*found};
    const Config config = impl_->config();
    std::vector<std::string_view> names;
    for (const auto& entry : config.operations) names.push_back(entry.first);
    const std::string_view near = nearest(name, names);
    return Error{Errc::not_found, fmt::format("operation {}: not in the configuration", quoted(name)),
                 near.empty() ? fmt::format("there are: {}", fmt::join(names, ", "))
                              : fmt::format("did you mean \"{}\"?", near)};
  });
}

Admission Limiter::admit(Operation operation, const Request& request) noexcept {
  return impl_->admit(operation, request, FastClock::now);
}

Admission Limiter::admit(std::string_view operation, const Request& request) noexcept {
  const auto found = impl_->find(operation);
  if (!found) return Admission({Verdict::invalid, LimitId::none, {}});
  return admit(Operation{*found}, request);
}

Decision Limiter::peek(Operation operation, const Request& request) noexcept {
  return impl_->peek(operation, request);
}

void Limiter::charge(Operation operation, const Request& request) noexcept {
  impl_->charge(operation, request);
}

void Limiter::refund(Operation operation, const Request& request, Admission& admission) noexcept {
  impl_->refund(operation, request, admission);
}

Admission Limiter::admit_at(HostClock::time_point now, Operation operation, const Request& request) noexcept {
  return impl_->admit(operation, request, [now] { return now; });
}

std::string Limiter::limit_name(LimitId limit) const noexcept {
  if (limit == LimitId::none) return {};
  const LimitPlace place = LimitPlace::of(limit);
  if (place.block >= kMaxBlocks) return {};
  try {
    return detail::limit_name(impl_->sections().blocks, place);
  } catch (const std::exception&) {  // out of memory
    return {};
  }
}

Result<void> Limiter::join() noexcept {
  return guarded([&]() -> Result<void> {
    if (auto joined = impl_->join(); !joined) return joined.error();
    return {};
  });
}

ReapReport Limiter::reap() noexcept {
  return impl_->reap();
}

void Admission::give_back(Outcome outcome) noexcept {
  holding_.limiter->finish(holding_, outcome);
}

Config Limiter::config() const {
  return impl_->config();
}

ResetReport Limiter::reset() noexcept {
  return impl_->reset();
}
ResetReport Limiter::reset(Operation operation) noexcept {
  return impl_->reset(operation);
}
ResetReport Limiter::reset_user(std::string_view user) noexcept {
  return impl_->reset_user(user);
}

Result<void> remove_segment(std::string_view segment) noexcept {
  return guarded([&]() -> Result<void> {
    if (auto removed = Segment::remove(segment); !removed) return removed.error();
    return {};
  });
}

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::admitted:
      return "admitted";
    case Verdict::throttled:
      return "throttled";
    case Verdict::never:
      return "never";
    case Verdict::invalid:
      return "invalid";
    case Verdict::shed:
      return "shed";
    case Verdict::blocked:
      return "blocked";
    case Verdict::circuit_open:
      return "circuit_open";
  }
  return "invalid";
}

}  // namespace weir
