#include "limiter/home.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sys/stat.h>

#include "weir/log.hpp"

#include "limiter/create.hpp"
#include "limiter/impl.hpp"

namespace weir::detail {
namespace {

constexpr std::uint64_t kSecond = ticks_from_ns(1'000'000'000);

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
  if (config.segment.on_fault == OnFault::admit) {
    alone.global = {};
    for (auto& operation : alone.operations) operation.second = {};
    alone.users.clear();
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

bool is_unlinked(const Segment& segment) {
  struct stat info {};
  return ::fstat(segment.file().get(), &info) == 0 && info.st_nlink == 0;
}

/// Holds the flag, if nobody else does.
class TryBusy {
 public:
  explicit TryBusy(std::atomic_flag& flag) noexcept
      : flag_(flag), mine_(!flag.test_and_set(std::memory_order_acquire)) {}
  TryBusy(const TryBusy&) = delete;
  TryBusy& operator=(const TryBusy&) = delete;
  ~TryBusy() {
    if (mine_) flag_.clear(std::memory_order_release);
  }
  [[nodiscard]] explicit operator bool() const noexcept { return mine_; }

 private:
  std::atomic_flag& flag_;
  bool mine_;
};

}  // namespace

Home::Home(std::unique_ptr<LimiterImpl> first) : current_(first.get()) {
  all_.push_back(std::move(first));
}

Home::~Home() {
  for (std::unique_ptr<LimiterImpl>& impl : all_) {
    if (!impl->may_end()) impl.release()->stay();
  }
}

Expected<std::unique_ptr<Home>> Home::over(Expected<Segment> segment) {
  auto impl = LimiterImpl::over(std::move(segment));
  if (!impl) return tl::make_unexpected(impl.error());
  return std::unique_ptr<Home>(new Home(std::move(*impl)));
}

Expected<std::unique_ptr<Home>> Home::open(const Config& config) {
  auto home = over(attach_or_publish(config));
  const bool fatal =
      !home && (config.segment.on_fault == OnFault::refuse || home.error().code == Errc::config);
  if (fatal) return home;
  if (!home) {
    const Error fault = home.error();
    home = over(publish_segment(stand_in(config), ""));
    if (!home) return home;
    (*home)->private_ = true;
    (*home)->stay_without(fault);
  }
  (*home)->config_ = config;
  LimiterImpl& first = (*home)->impl();
  first.watch(**home, first.now() + kSecond);
  return home;
}

std::optional<Error> Home::fault() const {
  const TryBusy mine(busy_);
  if (!mine || fault_ == nullptr) return std::nullopt;
  return *fault_;
}

void Home::stay_without(const Error& error) {
  const std::string_view what = config_ && config_->segment.on_fault == OnFault::admit
                                    ? "everything is admitted"
                                    : "limits hold for this process alone";
  if (fault_ == nullptr || fault_->what != error.what)
    log(fmt::format("{}; until it is back {}", error.message(), what));
  fault_ = std::make_unique<Error>(error);
}

void Home::look_again(LimiterImpl& seen) noexcept {
  const TryBusy mine(busy_);
  if (!mine || &seen != &impl() || (!private_ && !is_unlinked(seen.segment()))) return;
  try {
    // A segment that was removed serves us until there is another; a stand-in tries to make one.
    auto segment = private_ ? attach_or_publish(*config_)
                            : Segment::attach(config_->segment.name, OpenMode::read_write, kAbiFingerprint);
    if (!segment) {
      if (private_) stay_without(segment.error());
      return;
    }
    auto next = LimiterImpl::over(std::move(segment));
    if (!next) return private_ ? stay_without(next.error()) : void();
    move_to(std::move(*next));
  } catch (const std::exception&) {  // out of memory: next time
  }
}

void Home::move_to(std::unique_ptr<LimiterImpl> next) {
  next->take_handles_of(impl());
  next->watch(*this, next->now() + kSecond);
  LimiterImpl* moved = next.get();
  all_.push_back(std::move(next));
  private_ = false;
  fault_ = nullptr;
  current_.store(moved, std::memory_order_release);
  log(fmt::format("segment \"{}\": attached to a new one", config_->segment.name));
}

}  // namespace weir::detail
