// SPDX-License-Identifier: Apache-2.0
#include "limiter/segment_binding.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

#include "weir/log.hpp"

#include "base/process_tag.hpp"
#include "control/difference.hpp"
#include "limiter/create.hpp"
#include "limiter/impl.hpp"

namespace weir::detail {
namespace {

void divide(Limits& limits, std::uint32_t by) {
  const auto share = [by](std::uint32_t limit) { return limit == 0 ? 0 : std::max(1U, limit / by); };
  for (Rate& rate : limits.rates) {
    rate.period *= by;
    rate.burst = share(rate.burst);
  }
  for (Window& window : limits.windows) window.limit = share(window.limit);
  limits.concurrent.limit = share(limits.concurrent.limit);
  limits.concurrent.candidate = share(limits.concurrent.candidate);
}

/// What a process decides by while it is alone.
Config stand_in(const Config& config) {
  Config alone = config;
  alone.segment.key_names = 0;
  alone.segment.group.clear();  // no other user shares it
  if (config.segment.on_fault == OnFault::admit) {
    alone.global = {};
    for (auto& operation : alone.operations) operation.second = {};
    alone.users.clear();
    alone.segment.users = 1;
    return alone;
  }
  const auto divide_all = [by = config.segment.local_workers](OperationPolicy& policy) {
    divide(policy.shared, by);
    divide(policy.user, by);
  };
  divide_all(alone.global);
  for (auto& operation : alone.operations) divide_all(operation.second);
  for (auto& user : alone.users) divide(user.second.limits, config.segment.local_workers);
  return alone;
}

/// Where there is no memory for all users of the configuration it knows fewer: a process may have little address
/// space (RLIMIT_AS) and a large table.
Result<Segment> publish_stand_in(const Config& config) {
  Config alone = stand_in(config);
  for (;;) {
    auto segment = publish_segment(alone, "");
    if (segment || alone.segment.users == 1) return segment;
    alone.segment.users = std::max<std::uint64_t>(1, alone.segment.users / 8);
  }
}

constexpr std::string_view kAlone = "limits hold for this process alone";

/// Sees to a segment that was there already and enforces other limits than `config` asks for.
Result<void> reconcile(const Config& config) {
  const std::string& name = config.segment.name;
  if (config.segment.on_difference == OnDifference::apply) {
    WEIR_TRY_VOID(apply_limits(name, config));
  }
  const std::vector<ConfigChange> differs = note_difference(name, config);
  if (differs.empty()) return {};
  const std::string fact = fmt::format(
      "segment \"{}\": enforces other limits than the configuration: {} values differ, the first is {}: "
      "segment {}, "
      "configuration {}",
      name, differs.size(), differs[0].key, differs[0].from, differs[0].to);
  if (config.segment.on_difference == OnDifference::refuse)
    return fail(Errc::conflict, fact, "apply it with: shm-inspect apply, or remove the segment");
  log(fmt::format(
      "{}; it goes on with those of the segment; to apply the configuration: shm-inspect apply, or "
      "segment.on_difference = \"apply\"",
      fact));
  return {};
}

/// Looks, if no other thread of this process does. A tag that a child inherited is of a thread that it has
/// not.
class TryToLook {
 public:
  explicit TryToLook(std::atomic<std::uint64_t>& looking) noexcept : looking_(looking) {
    std::uint64_t seen = looking_.load(std::memory_order_relaxed);
    const std::uint64_t tag = process_tag();
    mine_ = seen != tag && looking_.compare_exchange_strong(seen, tag, std::memory_order_acquire);
  }
  TryToLook(const TryToLook&) = delete;
  TryToLook& operator=(const TryToLook&) = delete;
  ~TryToLook() {
    if (mine_) looking_.store(0, std::memory_order_release);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return mine_; }

 private:
  std::atomic<std::uint64_t>& looking_;
  bool mine_ = false;
};

bool is_stand_in(const LimiterImpl& impl) noexcept {
  return impl.segment().name().empty();
}

}  // namespace

SegmentBinding::SegmentBinding(std::unique_ptr<LimiterImpl> first) : current_(first.get()) {
  all_.push(std::move(first));
}

SegmentBinding::~SegmentBinding() {
  all_.for_each([](std::unique_ptr<LimiterImpl>& one) {
    if (!one->may_end()) one.release()->stay();
  });
}

Result<std::unique_ptr<SegmentBinding>> SegmentBinding::over(Result<Segment> segment) {
  WEIR_TRY(auto impl, LimiterImpl::over(std::move(segment)));
  return std::unique_ptr<SegmentBinding>(new SegmentBinding(std::move(impl)));
}

Result<std::unique_ptr<SegmentBinding>> SegmentBinding::open(const Config& config) {
  auto binding = over(attach_or_publish(config));
  const bool fatal =
      !binding && (config.segment.on_fault == OnFault::refuse || binding.error().code == Errc::config);
  if (fatal) return binding;
  if (binding) WEIR_TRY_VOID(reconcile(config));
  std::optional<Error> fault;
  if (!binding) {
    fault = binding.error();
    binding = over(publish_stand_in(config));
    if (!binding) return binding;
  }
  (*binding)->config_ = config;
  (*binding)->opened_by_ = ::geteuid();
  if (fault) (*binding)->stay_without(*fault, kAlone);
  (*binding)->impl().look_by(**binding);
  return binding;
}

LimiterImpl& SegmentBinding::settled() noexcept {
  LimiterImpl& seen = impl();
  LimiterImpl* const next = seen.successor();
  return next != nullptr ? *next : seen;
}

std::optional<Error> SegmentBinding::fault() const {
  if (auto fault = fault_.get()) return fault;
  return impl().fault();
}

void SegmentBinding::stay_without(const Error& error, std::string_view what_holds) {
  if (!fault_.set(error)) return;
  const bool admits = what_holds == kAlone && config_->segment.on_fault == OnFault::admit;
  log(fmt::format("{}; until it is back {}", error.message(),
                  admits ? "everything is admitted" : what_holds));
}

void SegmentBinding::look_again(LimiterImpl& seen) noexcept {
  const TryToLook mine(looking_);
  if (!mine || &seen != &impl()) return;
  const bool alone = is_stand_in(seen);
  if (!alone && !seen.segment().is_replaced()) {
    fault_.clear();
    return;
  }
  const std::string_view what_holds = alone ? kAlone : "the limits of the removed segment hold";
  try {
    // A segment that was removed serves us until there is another; a stand-in tries to make one.
    const bool makes = alone && ::geteuid() == opened_by_;
    auto segment = makes ? attach_or_publish(*config_) : attach_existing(*config_);
    if (!segment) return stay_without(segment.error(), what_holds);
    auto next = LimiterImpl::over(std::move(segment));
    if (!next) return stay_without(next.error(), what_holds);
    move_to(std::move(*next));
  } catch (const std::exception&) {  // out of memory: next time
  }
}

void SegmentBinding::move_to(std::unique_ptr<LimiterImpl> next) {
  next->operations().take_over(impl().operations());
  next->look_by(*this);
  LimiterImpl* const moved = next.get();
  all_.push(std::move(next));
  // A fork here: the child has the new one, unused, and moves to one of its own.
  fault_.clear();
  current_.store(moved, std::memory_order_release);
  log(fmt::format("segment \"{}\": attached to a new one", config_->segment.name));
}

}  // namespace weir::detail
