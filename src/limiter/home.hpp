#pragma once

// Where a limiter lives: on a segment, and what it does while there is none to use.
//
// Without a usable segment, and with a policy that does not fail closed, it decides over a private one: with
// no limits at all (`admit`), or with this process's share of them (`local`). Once a second the next call
// looks whether the segment is back, or was replaced under its name, and moves there. Whatever was admitted
// by the old one is given back to the old one: that stays until the limiter goes.

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "weir/error.hpp"
#include "weir/policy.hpp"

#include "base/expected.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

class LimiterImpl;

class Home {
 public:
  /// Over a segment as it is; no other is ever looked for.
  [[nodiscard]] static Expected<std::unique_ptr<Home>> over(Expected<Segment> segment);

  /// Over the segment that a configuration names, made if it is not there; else as `on_fault` says.
  [[nodiscard]] static Expected<std::unique_ptr<Home>> open(const Config& config);

  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  ~Home();

  [[nodiscard]] LimiterImpl& impl() const noexcept { return *current_.load(std::memory_order_acquire); }

  /// Why there is no segment to use; nothing while there is one.
  [[nodiscard]] std::optional<Error> fault() const;

  /// Moves to the segment of our name if that is another one than `seen` decides over.
  /// Cost  one system call, or some more where there is something to move to.
  void look_again(LimiterImpl& seen) noexcept;

 private:
  explicit Home(std::unique_ptr<LimiterImpl> first);
  void move_to(std::unique_ptr<LimiterImpl> next);
  void stay_without(const Error& error);

  std::optional<Config> config_;  // of open(); nothing: never moves
  std::atomic<LimiterImpl*> current_{nullptr};
  std::vector<std::unique_ptr<LimiterImpl>> all_;  // under busy_
  std::unique_ptr<Error> fault_;                   // under busy_
  mutable std::atomic_flag busy_;                  // process-local, on no hot path; try only
  bool private_ = false;                           // the current one is a stand-in
};

}  // namespace weir::detail
