#include "weir/limiter.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>

#include "base/fast_clock.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "limiter/conflict.hpp"
#include "limiter/decide.hpp"
#include "limiter/plan.hpp"
#include "limiter/sweeper.hpp"
#include "policy/schema.hpp"

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

Expected<Segment> publish(const Config& config, std::string_view name) {
  auto group = find_group(config.segment.group);
  if (!group) return tl::make_unexpected(group.error());
  const Records records = compile(config);
  const std::vector<SectionSpec> sections = sections_for(records);
  const PublishSpec spec{.name = std::string(name),
                         .mode = config.segment.mode,
                         .group = *group,
                         .reserve = config.segment.reserve,
                         .abi_fingerprint = kAbiFingerprint,
                         .sections = sections};
  return Segment::publish(
      spec, [&](std::uint32_t kind, std::span<std::byte> bytes) { fill_section(records, kind, bytes); });
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
  LimiterImpl(Segment segment, const Records& records)
      : segment_(std::move(segment)),
        config_(decompile(records, segment_.name())),
        hasher_(segment_.header().secret),
        plan_(records, elements<SharedState>(segment_, kSharedStatesSection),
              elements<Word>(segment_, kPermitCellsSection)),
        users_(elements<UserBucket>(segment_, kUsersSection),
               elements<UserTableCounters>(segment_, kUserCountersSection).data()),
        registry_(elements<WorkerSlot>(segment_, kWorkersSection), segment_),
        swept_(elements<SweepCounters>(segment_, kSweepCountersSection).front()),
        sweeper_(registry_, elements<Word>(segment_, kPermitCellsSection), plan_, users_, swept_),
        decider_(plan_, users_, config_.segment.when_full) {}

  static Expected<std::unique_ptr<LimiterImpl>> over(Expected<Segment> segment) {
    if (!segment) return tl::make_unexpected(segment.error());
    auto records = read_records(*segment);
    if (!records) return tl::make_unexpected(records.error());
    auto impl = std::make_unique<LimiterImpl>(std::move(*segment), *records);
    if (auto joined = impl->join(); !joined) return tl::make_unexpected(joined.error());
    return impl;
  }

  template <class Clock>
  Admission admit(Operation operation, const Request& request, Clock&& clock) noexcept {
    const auto index = static_cast<std::size_t>(operation);
    if (index >= plan_.operations.size() || request.cost == 0 || request.weight == 0) {
      return Admission({Verdict::invalid, LimitId::none, {}});
    }
    Ask ask{.plan = plan_.operations[index], .cost = request.cost, .weight = request.weight};
    if (!request.user.empty() && ask.plan.has_user_limits()) {
      ask.user = hasher_(request.user);
      ask.key = users_.key(ask.user);
      ask.has_user = true;
      users_.prefetch(ask.key);  // the fetch runs while the clock is read and the shared words are looked at
    }
    const std::uint64_t now = ticks_at(segment_.header(), clock());
    identify(ask, now);
    Admission admission{Decision{}};  // filled in where the caller will have it
    admission.decision_ = decider_.admit(ask, now, admission.holding_);
    if (admission.verdict() == Verdict::shed && sweeper_.sweep_if_due(now)) {
      admission.decision_ = decider_.admit(ask, now, admission.holding_);
    }
    if (admission && ask.plan.has_bulkheads()) {
      admission.holding_.limiter = this;
      admission.holding_.operation = static_cast<std::uint16_t>(operation);
    }
    return admission;
  }

  void release(const Holding& holding) noexcept {
    // A copy of the parent's admission in a forked child: the parent's permits are not ours to give.
    if (!registry_.was_self(Owner::from_bits(holding.owner))) return;
    const std::uint32_t late = decider_.release(plan_.operations[holding.operation], holding);
    if (late != 0) swept_.late_releases.fetch_add(late, std::memory_order_relaxed);
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
    return reset_if([](const LimitRecord&) { return true; });
  }

  ResetReport reset(Operation operation) noexcept {
    return reset_if(
        [=](const LimitRecord& limit) { return limit.operation == static_cast<std::uint16_t>(operation); });
  }

  ResetReport reset_user(std::string_view user) noexcept {
    const UserKey key = users_.key(hasher_(user));
    ResetReport report;
    std::uint16_t id = 0;
    for (const LimitRecord& limit : plan_.limits) {
      ++id;
      if (limit.scope != LimitScope::user || limit.kind != LimitKind::rate) continue;
      report.users += users_.modify(key, {id, 0}, nullptr, to_never_seen) ? 1 : 0;
    }
    return report;
  }

  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const Config& config() const noexcept { return config_; }

 private:
  static std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
    return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
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

  template <class Wanted>
  ResetReport reset_if(Wanted&& wanted) noexcept {
    ResetReport report;
    const auto states = elements<SharedState>(segment_, kSharedStatesSection);
    for (const LimitRecord& limit : plan_.limits) {
      if (limit.scope != LimitScope::shared || limit.kind != LimitKind::rate || !wanted(limit)) continue;
      states[limit.state].bucket.reset();
      ++report.limits;
    }
    report.users =
        users_.modify_all([&](UserLimit entry, std::uint64_t state) -> std::optional<std::uint64_t> {
          const LimitRecord* limit = plan_.limit(entry.id);
          const bool rate = limit != nullptr && limit->kind == LimitKind::rate;
          return rate && wanted(*limit) ? to_never_seen(state) : std::nullopt;
        });
    return report;
  }

  Segment segment_;
  Config config_;
  KeyHasher hasher_;
  Plan plan_;
  UserTable users_;
  Registry registry_;
  SweepCounters& swept_;
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
    if (auto difference = first_difference((*impl)->config(), config)) {
      return Error{
          Errc::conflict,
          fmt::format("segment \"{}\" enforces other limits: {}", config.segment.name, *difference),
          fmt::format(
              "use its limits, another segment name, or remove it with: shm-inspect --segment {} remove",
              config.segment.name)};
    }
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
    const auto& by_name = impl_->plan().by_name;
    if (const auto found = by_name.find(name); found != by_name.end()) return Operation{found->second};
    std::vector<std::string_view> names;
    names.reserve(by_name.size());
    for (const auto& entry : by_name) names.push_back(entry.first);
    std::sort(names.begin(), names.end());
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
  const auto& by_name = impl_->plan().by_name;
  const auto found = by_name.find(operation);
  if (found == by_name.end()) return Admission({Verdict::invalid, LimitId::none, {}});
  return admit(Operation{found->second}, request);
}

Admission Limiter::admit_at(HostClock::time_point now, Operation operation, const Request& request) noexcept {
  return impl_->admit(operation, request, [now] { return now; });
}

std::string_view Limiter::limit_name(LimitId limit) const noexcept {
  const auto& names = impl_->plan().limit_names;
  const auto id = static_cast<std::size_t>(limit);
  return id >= 1 && id <= names.size() ? std::string_view(names[id - 1]) : std::string_view();
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

void Admission::give_back() noexcept {
  holding_.limiter->release(holding_);
}

const Config& Limiter::config() const noexcept {
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
  }
  return "invalid";
}

}  // namespace weir
