// SPDX-License-Identifier: Apache-2.0

// Processes ask for far more than a leased rate gives, while some are killed or stopped with a lease in hand. Each
// notes when its admissions began and ended. Together they are never above the bound of one bucket, and hardly below
// what it earns.
//
// The run is short by default; WEIR_SOAK_ROUNDS in the environment repeats it.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weir/config.hpp"

#include "base/fast_clock.hpp"
#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "policy/blocks.hpp"
#include "support/chaos.hpp"
#include "support/child.hpp"
#include "support/segment_name.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using detail::FastClock;
using detail::SegmentBinding;
using detail::TimePasses;
using detail::TokenBucketParams;

constexpr std::size_t kWorkers = 8;
constexpr std::size_t kHistory = 1 << 19;
constexpr std::size_t kSlots = 1 << 14;  // of a millisecond
constexpr auto kRelaxed = std::memory_order_relaxed;

struct Admitted {
  std::int64_t began;  // ns
  std::int64_t ended;
};

struct alignas(64) Worker {
  std::atomic<std::uint64_t> admissions;
  std::atomic<std::uint64_t> requests;
  std::atomic<std::uint64_t> from_lease;  // admissions that did not move the TAT
  std::atomic<bool> is_to_hold;           // is to stop asking once it has a lease in hand
  std::atomic<bool> holds;
  std::array<Admitted, kHistory> history;
};

// The kernel zeroes it; most of it is never touched.
struct Memory {
  Memory() {}                       // NOLINT(modernize-use-equals-default): leaves the bytes alone
  std::atomic<std::int64_t> begun;  // 0: the workers wait
  std::array<std::atomic<bool>, kSlots> refused;  // whether anybody was, in each millisecond from then on
  std::array<Worker, kWorkers> workers;
};

std::int64_t now() {
  return FastClock::now().time_since_epoch().count();
}

int setting(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : fallback;
}

/// Finds spans in which more was admitted than the bucket holds and earns: of the admissions that began at `from` or
/// later, more ended by `to` than (depth + to - from) pays for. All in ticks.
///
/// Admissions are added in the order of their ends. A tree over their begins knows for each `from` what was spent of
/// those that began there or later, plus `from`.
class Bound {
 public:
  explicit Bound(std::size_t count) {
    while (leaves_ < count) leaves_ *= 2;
    nodes_.resize(2 * leaves_);
  }

  /// @param rank  of its begin among those of all admissions.
  /// @return by how many ticks the worst span that ends at `ended` goes above `depth`; not positive: none does.
  std::int64_t add(std::size_t rank, std::int64_t began, std::int64_t ended, std::int64_t cost,
                   std::int64_t depth) {
    std::size_t node = leaves_ + rank;
    nodes_[node] = {cost, began + cost};
    for (node /= 2; node != 0; node /= 2) {
      const Node& earlier = nodes_[2 * node];
      const Node& later = nodes_[2 * node + 1];
      nodes_[node] = {earlier.spent + later.spent, std::max(later.most, earlier.most + later.spent)};
    }
    return nodes_[1].most - ended - depth;
  }

 private:
  struct Node {
    std::int64_t spent = 0;
    std::int64_t most = std::numeric_limits<std::int64_t>::min() / 2;  // of `from` and what was spent since
  };
  std::size_t leaves_ = 1;
  std::vector<Node> nodes_;
};

/// @return what is wrong with these admissions of one token each, or nothing.
std::string above_the_bound(std::vector<Admitted> all, TokenBucketParams rate) {
  std::ranges::sort(all, {}, &Admitted::began);
  std::vector<std::size_t> by_end(all.size());
  for (std::size_t i = 0; i < by_end.size(); ++i) by_end[i] = i;
  std::ranges::sort(by_end, {}, [&](std::size_t i) { return all[i].ended; });
  Bound bound(all.size());
  const auto ticks = [&](std::int64_t ns) {
    return static_cast<std::int64_t>(detail::ticks_from_ns(static_cast<std::uint64_t>(ns - all[0].began)));
  };
  for (const std::size_t i : by_end) {
    const std::int64_t over =
        bound.add(i, ticks(all[i].began), ticks(all[i].ended),
                  static_cast<std::int64_t>(rate.emission_interval), static_cast<std::int64_t>(rate.depth()));
    if (over > 0)
      return std::to_string(over) + " ticks too much at " + std::to_string(all[i].ended - all[0].began) +
             " ns";
  }
  return {};
}

TEST(LeaseHistory, TheCheckerFindsOneAdmissionTooMany) {
  const TokenBucketParams rate{.emission_interval = detail::ticks_from_ns(100), .burst = 3};
  const std::vector<Admitted> as_many_as_may_be{
      {1'000, 1'000}, {1'000, 1'010}, {1'000, 1'005}, {1'090, 1'100}};
  EXPECT_EQ(above_the_bound(as_many_as_may_be, rate), "");
  const auto with = [&](Admitted one) {
    std::vector<Admitted> all = as_many_as_may_be;
    all.push_back(one);
    return above_the_bound(all, rate);
  };
  EXPECT_EQ(with({1'090, 1'200}), "");
  EXPECT_EQ(with({900, 1'100}), "") << "it may have been decided at 900";
  EXPECT_NE(with({1'090, 1'199}), "");
  EXPECT_NE(with({1'000, 1'010}), "");
}

/// When workers ask.
enum class Pace {
  /// Always, but not at once after a refusal: all together ask for about three times what they get.
  always,
  /// In pulses, and the bucket is full before each. That is the hardest case for the bound: each worker asks once, which
  /// may lease it something, and then all of them ask for all that there is.
  pulses,
};

/// One bucket and the processes that ask it.
class Crowd {
 public:
  /// @param lease  how it is configured.
  Crowd(const std::string& limit, const std::string& lease) {
    auto config =
        parse_config("[operations.work]\nrate = { limit = '" + limit + "'" + lease + " }\n", "test");
    if (!config) throw std::runtime_error(config.error().message());
    config->segment.name = name_.str();
    auto binding = SegmentBinding::over(detail::attach_or_publish(*config));
    if (!binding) throw std::runtime_error(binding.error().message());
    binding_ = std::move(*binding);
    work_ = *binding_->impl().operations().find("work");
  }

  void begin() { memory_->begun = now(); }

  /// Asks until `stop`, as the worker of a number.
  void ask(std::size_t number, Pace pace, const std::atomic<bool>& stop) {
    Worker& self = worker(number);
    while (memory_->begun == 0) std::this_thread::sleep_for(100us);
    std::mt19937 random(std::random_device{}());
    bool leased_just_now = false;
    std::int64_t last_pulse = -1;
    while (!stop) {
      if (pace == Pace::pulses && !is_time(last_pulse)) continue;
      const std::uint64_t tat = record().state.load(kRelaxed);
      const std::int64_t began = now();
      const bool admitted = static_cast<bool>(binding_->admit(work_, {}, TimePasses{}));
      const std::int64_t ended = now();
      add(self.requests);
      if (!admitted) {
        note_refusal(began);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 64));
        continue;
      }
      if (self.admissions == kHistory) return no_room_until(stop);
      self.history[self.admissions.load(kRelaxed)] = {began, ended};
      add(self.admissions);
      const bool from_lease = record().state.load(kRelaxed) == tat;
      if (from_lease) add(self.from_lease);
      if (from_lease && leased_just_now && self.is_to_hold) hold(self, stop);
      leased_just_now = !from_lease;
    }
  }

  [[nodiscard]] Worker& worker(std::size_t number) { return memory_->workers[number]; }
  [[nodiscard]] TokenBucketParams rate() const {
    return detail::packed::to_token_bucket(record().params.load(kRelaxed));
  }
  [[nodiscard]] std::vector<Admitted> admissions() const {
    std::vector<Admitted> all;
    for (const Worker& worker : memory_->workers) {
      const auto count = static_cast<std::ptrdiff_t>(worker.admissions.load());
      all.insert(all.end(), worker.history.begin(), worker.history.begin() + count);
    }
    return all;
  }
  [[nodiscard]] std::uint64_t sum(std::atomic<std::uint64_t> Worker::*count) const {
    std::uint64_t all = 0;
    for (const Worker& worker : memory_->workers) all += (worker.*count).load();
    return all;
  }

  /// The milliseconds from the first refusal to the last. Each says that the bucket had less than a token then, so all
  /// that it had earned was spent or leased. Nothing, if the workers did not run for so long that it may have been full.
  [[nodiscard]] std::optional<std::uint64_t> milliseconds_of_demand() const {
    const std::size_t full_after = detail::ns_from_ticks(rate().depth()) / 1'000'000 / 2;
    std::optional<std::size_t> first;
    std::size_t last = 0;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      if (!memory_->refused[slot]) continue;
      if (!first) first = slot;
      if (slot - last > full_after) return std::nullopt;
      last = slot;
    }
    if (!first || last - *first < 2) return std::nullopt;
    return last - *first - 1;
  }

 private:
  /// The shared words of the rate.
  [[nodiscard]] const detail::LimitRecord& record() const {
    return binding_->impl().sections().blocks[detail::kFirstOperation].limits[detail::kFirstRate];
  }
  static void add(std::atomic<std::uint64_t>& count) {  // no other process writes it
    count.store(count.load(kRelaxed) + 1, std::memory_order_release);
  }
  /// Whether to ask now, in pulses; else it has slept a little.
  [[nodiscard]] bool is_time(std::int64_t& last_pulse) const {
    constexpr std::chrono::nanoseconds kPulse = 80ms;
    const std::chrono::nanoseconds since(now() - memory_->begun);
    const std::chrono::nanoseconds in_pulse = since % kPulse;
    const bool first = since / kPulse != last_pulse;
    if (in_pulse < 10ms && (first || in_pulse > 600us)) {
      last_pulse = since / kPulse;
      return true;
    }
    std::this_thread::sleep_for(in_pulse < 10ms ? 20us
                                                : std::min<std::chrono::nanoseconds>(kPulse - in_pulse, 5ms));
    return false;
  }
  void note_refusal(std::int64_t began) {
    const auto slot = static_cast<std::size_t>((began - memory_->begun) / 1'000'000);
    if (slot < kSlots && !memory_->refused[slot].load(kRelaxed)) memory_->refused[slot].store(true, kRelaxed);
  }
  static void hold(Worker& self, const std::atomic<bool>& stop) {
    self.holds = true;
    while (self.is_to_hold && !stop) std::this_thread::sleep_for(100us);
  }
  static void no_room_until(const std::atomic<bool>& stop) {
    ADD_FAILURE() << "the history is too short";
    while (!stop) std::this_thread::sleep_for(100us);
  }

  SegmentName name_;
  SharedObject<Memory> memory_;
  std::unique_ptr<SegmentBinding> binding_;
  Operation work_{};
};

void print(const Crowd& crowd, const std::string& what) {
  std::cout << "[lease] " << crowd.sum(&Worker::requests) << " requests, " << crowd.sum(&Worker::admissions)
            << " admitted, " << crowd.sum(&Worker::from_lease) << " of them by leases for certain; " << what
            << "\n";
}

class LeaseHistories : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static bool by_itself() { return std::string(GetParam()).empty(); }
};

TEST_P(LeaseHistories, AreNeverAboveTheBoundWhoeverIsKilledOrStopped) {
  std::uint64_t from_lease = 0;
  // Where leases begin by themselves, they do so when processes meet in an exchange, which may take a while.
  for (int round = setting("WEIR_SOAK_ROUNDS", 1);
       round > 0 || (by_itself() && from_lease == 0 && round > -10); --round) {
    Crowd crowd("100000/s burst 6400", GetParam());
    ChaosOptions options;
    options.workers = kWorkers;
    options.kills = 500;
    options.seed = std::random_device{}();
    crowd.begin();
    const ChaosReport report = run_chaos(options, [&](int worker, const std::atomic<bool>& stop) {
      crowd.ask(static_cast<std::size_t>(worker), Pace::pulses, stop);
    });
    EXPECT_TRUE(report.ok()) << report;
    print(crowd, std::to_string(report.kills) + " kills, " + std::to_string(report.stops) + " stops");
    ASSERT_EQ(above_the_bound(crowd.admissions(), crowd.rate()), "");
    from_lease += crowd.sum(&Worker::from_lease);
  }
  if (by_itself() && from_lease == 0) GTEST_SKIP() << "processes never met in an exchange here";
  EXPECT_GT(from_lease, 0U) << "nothing was leased, so nothing is shown";
}

TEST_P(LeaseHistories, AdmitWhatTheBucketEarnsBesideAKilledAndAStoppedProcess) {
  for (int round = setting("WEIR_SOAK_ROUNDS", 1); round > 0; --round) {
    Crowd crowd("50000/s burst 100000", GetParam());
    SharedObject<std::atomic<bool>> stop;
    std::vector<std::unique_ptr<Child>> children;
    constexpr std::size_t kKilled = 0;
    constexpr std::size_t kStopped = 1;
    crowd.worker(kKilled).is_to_hold = crowd.worker(kStopped).is_to_hold = true;
    for (std::size_t i = 0; i < kWorkers; ++i)
      children.push_back(std::make_unique<Child>([&, i] { crowd.ask(i, Pace::always, *stop); }));
    crowd.begin();
    // A process that leases by itself may never come to it. One of a configured size does with its first request.
    const auto deadline = std::chrono::steady_clock::now() + (by_itself() ? 300ms : 20s);
    const auto both_hold = [&] { return crowd.worker(kKilled).holds && crowd.worker(kStopped).holds; };
    while (!both_hold() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(100us);
    EXPECT_TRUE(by_itself() || both_hold()) << "nothing was leased, so nothing is shown";
    children[kKilled]->kill();
    children[kStopped]->signal(SIGSTOP);
    std::this_thread::sleep_for(1s);
    crowd.worker(kStopped).is_to_hold = false;
    children[kStopped]->signal(SIGCONT);
    std::this_thread::sleep_for(200ms);
    *stop = true;
    for (std::size_t i = 0; i < kWorkers; ++i) {
      if (i == kKilled) continue;
      ASSERT_TRUE(children[i]->ends_within(60s));
      EXPECT_EQ(children[i]->failure(), "");
    }

    ASSERT_EQ(above_the_bound(crowd.admissions(), crowd.rate()), "");
    const std::optional<std::uint64_t> demand = crowd.milliseconds_of_demand();
    if (!demand) GTEST_SKIP() << "this machine was too slow to ask for more than the rate";
    const std::uint64_t spans = crowd.rate().depth() + detail::ticks_from_ns(*demand * 1'000'000);
    const std::uint64_t ideal = spans / crowd.rate().emission_interval;
    const std::uint64_t admitted = crowd.sum(&Worker::admissions);
    print(crowd, std::to_string(ideal) + " at best");
    EXPECT_GE(admitted * 100, ideal * 99);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, LeaseHistories, ::testing::Values("", ", lease = 32"),
                         [](const auto& size) { return *size.param == 0 ? "ByItself" : "Configured"; });

}  // namespace
}  // namespace weir::test
