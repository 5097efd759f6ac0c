#include "weir/limiter.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "limiter/conflict.hpp"
#include "limiter/decide.hpp"
#include "limiter/plan.hpp"
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

class Limiter::Impl {
 public:
  Impl(Segment segment, const Records& records)
      : segment_(std::move(segment)),
        config_(decompile(records, segment_.name())),
        hasher_(segment_.header().secret),
        plan_(records, elements<SharedState>(segment_, kSharedStatesSection)),
        users_(elements<UserBucket>(segment_, kUsersSection),
               elements<UserTableCounters>(segment_, kUserCountersSection).data()),
        decider_(plan_, users_, config_.segment.when_full) {}

  static Expected<std::unique_ptr<Impl>> over(Expected<Segment> segment) {
    if (!segment) return tl::make_unexpected(segment.error());
    auto records = read_records(*segment);
    if (!records) return tl::make_unexpected(records.error());
    return std::make_unique<Impl>(std::move(*segment), *records);
  }

  template <class Clock>
  Decision admit(Operation operation, const Request& request, Clock&& clock) noexcept {
    const auto index = static_cast<std::size_t>(operation);
    if (index >= plan_.operations.size() || request.cost == 0) return {Verdict::invalid, LimitId::none, {}};
    Ask ask{.plan = plan_.operations[index], .user = {}, .has_user = false, .cost = request.cost};
    if (!request.user.empty() && !ask.plan.user.empty()) {
      ask.user = users_.key(hasher_(request.user));
      ask.has_user = true;
      users_.prefetch(ask.user);  // the fetch runs while the clock is read and the shared words are looked at
    }
    return decider_.admit(ask, ticks(clock()));
  }

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
    for (std::uint16_t id = 1; id <= plan_.limits.size(); ++id) {
      if (plan_.limits[id - 1U].scope == LimitScope::user && users_.modify(key, id, to_never_seen))
        ++report.users;
    }
    return report;
  }

  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const Config& config() const noexcept { return config_; }

 private:
  static std::optional<std::uint64_t> to_never_seen(std::uint64_t state) noexcept {
    return state == 0 ? std::nullopt : std::optional<std::uint64_t>(0);
  }

  [[nodiscard]] std::uint64_t ticks(HostClock::time_point now) const noexcept {
    const std::int64_t since_epoch = now.time_since_epoch().count() - segment_.header().created_monotonic_ns;
    return ticks_from_ns(static_cast<std::uint64_t>(std::max<std::int64_t>(since_epoch, 0)));
  }

  template <class Wanted>
  ResetReport reset_if(Wanted&& wanted) noexcept {
    ResetReport report;
    const auto states = elements<SharedState>(segment_, kSharedStatesSection);
    for (const LimitRecord& limit : plan_.limits) {
      if (limit.scope != LimitScope::shared || !wanted(limit)) continue;
      states[limit.state].bucket.reset();
      ++report.limits;
    }
    report.users = users_.modify_all([&](UserLimit id, std::uint64_t state) -> std::optional<std::uint64_t> {
      const LimitRecord* limit = plan_.limit(id);
      return limit != nullptr && wanted(*limit) ? to_never_seen(state) : std::nullopt;
    });
    return report;
  }

  Segment segment_;
  Config config_;
  KeyHasher hasher_;
  Plan plan_;
  UserTable users_;
  Decider decider_;
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

Limiter::Limiter(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Limiter::Limiter(Limiter&&) noexcept = default;
Limiter& Limiter::operator=(Limiter&&) noexcept = default;
Limiter::~Limiter() = default;

Result<Limiter> Limiter::open(const Config& config) noexcept {
  return guarded([&]() -> Result<Limiter> {
    if (auto valid = validate(config); !valid) return valid.error();
    auto impl = Impl::over(attach_or_publish(config));
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
    auto impl = Impl::over(publish(config, ""));
    if (!impl) return impl.error();
    return Limiter(std::move(*impl));
  });
}

Result<Limiter> Limiter::attach(std::string_view segment) noexcept {
  return guarded([&]() -> Result<Limiter> {
    auto impl = Impl::over(Segment::attach(segment, OpenMode::read_write, kAbiFingerprint));
    if (!impl) return impl.error();
    return Limiter(std::move(*impl));
  });
}

Result<Operation> Limiter::operation(std::string_view name) const noexcept {
  return guarded([&]() -> Result<Operation> {
    const auto& by_name = impl_->plan().by_name;
    if (const auto found = by_name.find(name); found != by_name.end()) return Operation{found->second};
    std::vector<std::string_view> names;
    for (const auto& entry : by_name) names.push_back(entry.first);
    std::sort(names.begin(), names.end());
    const std::string_view near = nearest(name, names);
    return Error{Errc::not_found, fmt::format("operation {}: not in the configuration", quoted(name)),
                 near.empty() ? fmt::format("there are: {}", fmt::join(names, ", "))
                              : fmt::format("did you mean \"{}\"?", near)};
  });
}

Admission Limiter::admit(Operation operation, const Request& request) noexcept {
  return Admission(impl_->admit(operation, request, HostClock::now));
}

Admission Limiter::admit(std::string_view operation, const Request& request) noexcept {
  const auto& by_name = impl_->plan().by_name;
  const auto found = by_name.find(operation);
  if (found == by_name.end()) return Admission({Verdict::invalid, LimitId::none, {}});
  return admit(Operation{found->second}, request);
}

Admission Limiter::admit_at(HostClock::time_point now, Operation operation, const Request& request) noexcept {
  return Admission(impl_->admit(operation, request, [now] { return now; }));
}

std::string_view Limiter::limit_name(LimitId limit) const noexcept {
  const auto& names = impl_->plan().limit_names;
  const auto id = static_cast<std::size_t>(limit);
  return id >= 1 && id <= names.size() ? std::string_view(names[id - 1]) : std::string_view();
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
  }
  return "invalid";
}

}  // namespace weir
