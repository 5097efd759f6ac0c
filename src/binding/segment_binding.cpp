// SPDX-License-Identifier: Apache-2.0
#include "binding/segment_binding.hpp"

#include <fmt/format.h>
#include <stop_token>
#include <unistd.h>

#include "weir/log.hpp"

#include "base/process_tag.hpp"
#include "binding/create.hpp"
#include "binding/reconcile.hpp"
#include "binding/stand_in.hpp"
#include "limiter/waiter.hpp"

namespace weir::detail {
namespace {

constexpr std::string_view kAlone = "limits hold for this process alone";

/// Looks, if no other thread of this process does. A tag that a child inherited names a thread that the child does
/// not have.
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
  (*binding)->impl().begin_to_watch();
  return binding;
}

void SegmentBinding::wait(Admission& admission, Operation operation, const Request& request) noexcept {
  const HostClock::time_point arrived = HostClock::now();
  for (;;) {
    LimiterImpl& current = settled();
    Waiter waiter(current, operation, request, arrived);
    // Rung from a stop callback, which may run on any thread as soon as it is made.
    const auto ring = [&] { waiter.ring(); };
    std::optional<std::stop_callback<decltype(ring)>> on_stop;
    if (request.stop.get() != nullptr) on_stop.emplace(*request.stop.get(), ring);
    // If the segment is replaced meanwhile, the request goes on there, at its age.
    while (&settled() == &current) {
      if (waiter.look(admission)) return;
      waiter.sleep();
    }
  }
}

LimiterImpl& SegmentBinding::settled() noexcept {
  LimiterImpl& seen = impl();
  if (seen.is_look_due()) look_again(seen);
  return impl();
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
  next->begin_to_watch();
  LimiterImpl* const moved = next.get();
  all_.push(std::move(next));
  // A fork here: the child has the new one, unused, and moves to one of its own.
  fault_.clear();
  current_.store(moved, std::memory_order_release);
  log(fmt::format("segment \"{}\": attached to a new one", config_->segment.name));
}

}  // namespace weir::detail
