// SPDX-License-Identifier: Apache-2.0
#include "weir/limiter.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fast_clock.hpp"
#include "base/result.hpp"
#include "base/text.hpp"
#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "binding/waiting_ticket.hpp"
#include "inspect/snapshot.hpp"
#include "limiter/impl.hpp"

namespace weir {

using namespace detail;  // NOLINT(google-build-using-namespace): the facade is written in the words of its
                         // layers

Limiter::Limiter(std::unique_ptr<detail::SegmentBinding> binding) noexcept : binding_(std::move(binding)) {}
Limiter::Limiter(Limiter&&) noexcept = default;
Limiter& Limiter::operator=(Limiter&&) noexcept = default;
Limiter::~Limiter() = default;

Result<Limiter> Limiter::open(const Config& config) noexcept {
  return guarded([&]() -> Result<Limiter> {
    WEIR_TRY_VOID(validate(config));
    WEIR_TRY(auto binding, SegmentBinding::open(config));
    return Limiter(std::move(binding));
  });
}

Result<Limiter> Limiter::open_private(const Config& config) noexcept {
  return guarded([&]() -> Result<Limiter> {
    WEIR_TRY_VOID(validate(config));
    WEIR_TRY(auto binding, SegmentBinding::over(publish_segment(config, "")));
    return Limiter(std::move(binding));
  });
}

Result<Limiter> Limiter::open_private(const Config& config, const Beginning& beginning) noexcept {
  return guarded([&]() -> Result<Limiter> {
    WEIR_TRY_VOID(validate(config));
    const std::int64_t wall_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(beginning.wall.time_since_epoch()).count();
    if (wall_ns < 0) return Error{Errc::invalid_argument, "private segment: it begins before 1970", ""};
    const SegmentBeginning its{
        beginning.at.time_since_epoch().count(), wall_ns, {beginning.seed, ~beginning.seed}};
    WEIR_TRY(auto binding, SegmentBinding::over(publish_segment(config, "", its)));
    return Limiter(std::move(binding));
  });
}

Result<Limiter> Limiter::attach(std::string_view segment) noexcept {
  return guarded([&]() -> Result<Limiter> {
    const Trust trust{.root_trusts_all = false};
    WEIR_TRY(auto binding,
             SegmentBinding::over(Segment::attach(segment, OpenMode::read_write, kAbiFingerprint, trust)));
    return Limiter(std::move(binding));
  });
}

std::optional<Error> Limiter::fault() const {
  return binding_->fault();
}

std::optional<WindowCount> Limiter::count(Operation operation, const Request& request) noexcept {
  return binding_->settled().count(operation, request);
}

std::vector<Quota> Limiter::quotas(Operation operation, const Request& request) noexcept {
  try {
    return binding_->settled().quotas(operation, request);
  } catch (const std::exception&) {  // out of memory
    return {};
  }
}

Result<Operation> Limiter::operation(std::string_view name) const noexcept {
  return guarded([&]() -> Result<Operation> {
    if (const auto found = binding_->settled().operations().find(name)) return *found;
    const Config config = binding_->impl().config();
    if (binding_->configured(name)) {
      return Error{
          Errc::conflict,
          fmt::format("operation {}: in the configuration, but not in segment \"{}\", which goes on with "
                      "the limits that it had",
                      quoted(name), config.segment.name),
          "apply the configuration with: shm-inspect apply, or segment.on_difference = \"apply\""};
    }
    const std::string where = config.segment.name.empty()
                                  ? std::string("the configuration")
                                  : fmt::format("segment \"{}\"", config.segment.name);
    std::vector<std::string_view> names;
    for (const auto& entry : config.operations) names.push_back(entry.first);
    const std::string_view near = nearest(name, names);
    return Error{Errc::not_in_segment, fmt::format("operation {}: not in {}", quoted(name), where),
                 near.empty() ? fmt::format("there are: {}", fmt::join(names, ", "))
                              : fmt::format("did you mean \"{}\"?", near)};
  });
}

Admission Limiter::admit(Operation operation, const Request& request) noexcept {
  return binding_->admit(operation, request, TimePasses{});
}

Admission Limiter::admit(std::string_view operation, const Request& request) noexcept {
  auto found = binding_->impl().operations().find(operation);
  if (!found) found = binding_->settled().operations().find(operation);
  if (!found) return Admission({Verdict::invalid, LimitId::none, {}});
  return admit(*found, request);
}

Ticket Limiter::enqueue(Operation operation, const Request& request) noexcept {
  try {
    return Ticket(std::make_unique<WaitingTicket>(*binding_, operation, request));
  } catch (const std::exception&) {  // out of memory
    return Ticket(nullptr);
  }
}

Decision Limiter::peek(Operation operation, const Request& request) noexcept {
  return binding_->settled().peek(operation, request, TimePasses{});
}

void Limiter::charge(Operation operation, const Request& request) noexcept {
  binding_->settled().charge(operation, request, TimePasses{});
}

void Limiter::refund(Operation operation, const Request& request, Admission& admission) noexcept {
  binding_->settled().refund(operation, request, admission, TimePasses{});
}

Admission Limiter::admit_at(HostClock::time_point now, Operation operation, const Request& request) noexcept {
  return binding_->admit(operation, request, TimeStands{now});
}

std::string Limiter::limit_name(LimitId limit) const noexcept {
  if (limit == LimitId::none) return {};
  const LimitRef ref = LimitRef::of(limit);
  if (ref.block >= kMaxBlocks) return {};
  try {
    return detail::limit_name(binding_->impl().sections().blocks, ref);
  } catch (const std::exception&) {  // out of memory
    return {};
  }
}

std::string Limiter::operation_name(Operation operation) const noexcept {
  try {
    LimiterImpl& impl = binding_->settled();
    const std::uint32_t index = impl.operations().block_of(operation);
    if (index == 0) return {};
    const Block& block = impl.sections().blocks[index];
    return block.presence(std::memory_order_acquire).retired() ? std::string() : read_name(block.name);
  } catch (const std::exception&) {  // out of memory
    return {};
  }
}

Result<void> Limiter::join() noexcept {
  return guarded([&]() -> Result<void> {
    WEIR_TRY_VOID(binding_->settled().join());
    return {};
  });
}

ReapReport Limiter::reap() noexcept {
  return binding_->settled().reap();
}

Config Limiter::config() const {
  return binding_->settled().config();
}

Result<Snapshot> Limiter::snapshot() const noexcept {
  return guarded([&] { return read_snapshot(binding_->settled().segment()); });
}

ResetReport Limiter::reset() noexcept {
  return binding_->settled().reset();
}
ResetReport Limiter::reset(Operation operation) noexcept {
  return binding_->settled().reset(operation);
}
ResetReport Limiter::reset_user(std::string_view user) noexcept {
  return binding_->settled().reset_user(user);
}

Result<void> remove_segment(std::string_view segment) noexcept {
  return guarded([&] { return Segment::remove(segment); });
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

std::string_view to_string(ShedCause cause) noexcept {
  switch (cause) {
    case ShedCause::none:
      return "";
    case ShedCause::no_permit:
      return "no_permit";
    case ShedCause::queue_full:
      return "queue_full";
    case ShedCause::timed_out:
      return "timed_out";
    case ShedCause::pushed_out:
      return "pushed_out";
    case ShedCause::cancelled:
      return "cancelled";
  }
  return "";
}

}  // namespace weir
