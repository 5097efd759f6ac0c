// SPDX-License-Identifier: Apache-2.0

// Leases as users of a limiter meet them. Each limiter of a test stands for a process: it has leases of its own.

#include "primitives/lease.hpp"

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <string>
#include <sys/mman.h>

#include "weir/config.hpp"
#include "weir/control.hpp"

#include "binding/create.hpp"
#include "binding/segment_binding.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"
#include "support/time_of.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

class LimiterLease : public ::testing::Test {
 protected:
  void open(const std::string& toml) {
    auto parsed = parse_config(toml, "test");
    ASSERT_TRUE(parsed) << parsed.error().message();
    config = *parsed;
    config.segment.name = name.str();
    maker = another();
    first = another();
    second = another();
    ASSERT_TRUE(maker && first && second);
    work = *first->impl().operations().find("work");
    now = HostClock::now();
  }
  [[nodiscard]] std::unique_ptr<SegmentBinding> another() const {
    auto opened = SegmentBinding::over(attach_or_publish(config));
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }

  /// How long the segment is without the section that a thread counts in alone.
  [[nodiscard]] std::uint64_t before_metrics() const { return dense_bytes(first->impl().segment().header()); }

  Admission admit(SegmentBinding& by, std::uint32_t cost = 1) {
    const auto clock = [this] { return now; };
    return by.admit(work, {.cost = cost}, test::TimeOf(clock));
  }
  Verdict peek(SegmentBinding& by, std::uint32_t cost) {
    const auto clock = [this] { return now; };
    return by.impl().peek(work, {.cost = cost}, test::TimeOf(clock)).verdict;
  }
  void refund(SegmentBinding& by, std::uint32_t cost, Admission& admission) {
    const auto clock = [this] { return now; };
    by.impl().refund(work, {.cost = cost}, admission, test::TimeOf(clock));
  }
  int admitted(SegmentBinding& by) {
    int count = 0;
    while (count < 1'000'000 && admit(by)) ++count;
    return count;
  }
  /// The shared words of the rate of `work`.
  [[nodiscard]] const LimitRecord& record() const {
    return first->impl().sections().blocks[kFirstOperation].limits[kFirstRate];
  }
  [[nodiscard]] std::uint64_t tat() const { return record().state.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t leased() const { return record().leased().load(std::memory_order_relaxed); }

  test::SegmentName name;
  Config config;
  std::unique_ptr<SegmentBinding> maker;  // mapped the segment before it had its name
  std::unique_ptr<SegmentBinding> first;
  std::unique_ptr<SegmentBinding> second;
  Operation work{};
  HostClock::time_point now;
};

TEST_F(LimiterLease, OfAConfiguredSizeBeginsWithTheFirstRequest) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 8 }\n");
  ASSERT_TRUE(admit(*first));
  const std::uint64_t then = tat();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(admit(*first));
  EXPECT_EQ(tat(), then) << "the lease was not used";
  ASSERT_TRUE(admit(*first));
  EXPECT_NE(tat(), then) << "more was admitted than was leased";
}

TEST_F(LimiterLease, CanBeTurnedOff) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 'off' }\n");
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t then = tat();
    ASSERT_TRUE(admit(*first));
    EXPECT_NE(tat(), then);
  }
  EXPECT_EQ(leased(), 0U);
}

TEST_F(LimiterLease, DoesNotBeginWhereOneProcessIsAlone) {
  open("[operations.work]\nrate = '100000/s burst 10000'\n");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(admit(*first));
  EXPECT_EQ(leased(), 0U);
}

TEST_F(LimiterLease, OfSeveralProcessesNeverAdmitsMoreThanTheBurst) {
  open("[operations.work]\nrate = { limit = '1000/s burst 6400', lease = 4 }\n");
  int all = 0;
  for (bool more = true; more;) {
    more = false;
    for (SegmentBinding* by : {first.get(), second.get()}) {
      const bool one = static_cast<bool>(admit(*by));
      all += one ? 1 : 0;
      more |= one;
    }
  }
  EXPECT_EQ(admitted(*first) + admitted(*second), 0);
  EXPECT_LE(all, 6'400);
  EXPECT_GE(all, 6'400 - 6'400 / 64 - 4);
}

TEST_F(LimiterLease, IsVoidWhenTheClockSaysSo) {
  open("[operations.work]\nrate = { limit = '100000/s burst 64000', lease = 100 }\n");
  ASSERT_TRUE(admit(*first));
  const std::uint64_t then = tat();
  now += 11ms;
  ASSERT_TRUE(admit(*first));
  EXPECT_NE(tat(), then);
}

TEST_F(LimiterLease, IsNotSpentAtAMomentThatTheCallerChose) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 8 }\n");
  ASSERT_TRUE(admit(*first));
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t then = tat();
    ASSERT_TRUE(first->admit(work, {}, TimeStands{now}));
    EXPECT_NE(tat(), then);
  }
}

TEST_F(LimiterLease, IsNotInheritedByAChild) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 8 }\n");
  ASSERT_TRUE(admit(*first));
  const std::uint64_t then = tat();
  EXPECT_EQ(test::in_child([&] { return admit(*first) && tat() != then ? 0 : 1; }), 0);
  const std::uint64_t after_child = tat();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(admit(*first));
  EXPECT_EQ(tat(), after_child) << "the parent has lost its lease";
}

TEST_F(LimiterLease, IsNotUsedUnderARateThatALiveChangeHasReplaced) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 8 }\n");
  ASSERT_TRUE(admit(*first));
  config.operations["work"].shared.rates[0].burst = 6'400;
  const auto change = apply_config(name.str(), config);
  ASSERT_TRUE(change) << change.error().message();
  const std::uint64_t then = tat();
  ASSERT_TRUE(admit(*first));
  EXPECT_NE(tat(), then);
}

TEST_F(LimiterLease, EndsWhenALiveChangeTurnsItOff) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 8 }\n");
  ASSERT_TRUE(admit(*first));
  config.operations["work"].shared.rates[0].lease = 0;
  const auto change = apply_config(name.str(), config);
  ASSERT_TRUE(change) << change.error().message();
  const std::uint64_t then = tat();
  ASSERT_TRUE(admit(*first));
  EXPECT_NE(tat(), then);
  EXPECT_EQ(first->impl().config().operations["work"].shared.rates[0].lease, 0U);
}

// Meanwhile another process may have spent all that there was, as nothing could be leased.
TEST_F(LimiterLease, IsNotSpentWhenLiveChangesHaveTurnedItOffAndOnAgain) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 64 }\n");
  const auto lease_becomes = [&](std::uint32_t lease) {
    config.operations["work"].shared.rates[0].lease = lease;
    const auto change = apply_config(name.str(), config);
    ASSERT_TRUE(change) << change.error().message();
  };
  ASSERT_TRUE(admit(*first));
  now += 1ms;  // the bucket is full again, and the lease is not void yet
  lease_becomes(0);
  const int by_second = admitted(*second);
  lease_becomes(64);
  EXPECT_LE(by_second + admitted(*first), 10'000);
}

TEST_F(LimiterLease, IsNotSpentWhenItsRateHasBeenAnotherOneMeanwhile) {
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 64 }\n");
  const auto burst_becomes = [&](std::uint32_t burst) {
    config.operations["work"].shared.rates[0].burst = burst;
    const auto change = apply_config(name.str(), config);
    ASSERT_TRUE(change) << change.error().message();
  };
  ASSERT_TRUE(admit(*first));
  burst_becomes(9'999);
  burst_becomes(10'000);
  const std::uint64_t then = tat();
  ASSERT_TRUE(admit(*first));
  EXPECT_NE(tat(), then);
}

// All 256 blocks are in use, so the new operation gets that of the one that was taken out.
TEST_F(LimiterLease, IsNotSpentByTheNextOperationOfTheSameBlock) {
  std::string others;
  for (int i = 1; i < 256; ++i) others += fmt::format("[operations.x{}]\nconcurrent = 1\n", i);
  open("[operations.work]\nrate = { limit = '100000/s burst 10000', lease = 64 }\n" + others);
  ASSERT_TRUE(admit(*first));
  now += 1ms;                               // the bucket is full again, and the lease is not void yet
  while (HostClock::now() < now) continue;  // the change looks at a clock of its own
  const auto policy = config.operations.extract("work").mapped();
  ASSERT_TRUE(apply_config(name.str(), config));
  config.operations["zebra"] = policy;
  const auto change = apply_config(name.str(), config);
  ASSERT_TRUE(change) << change.error().message();
  work = *first->impl().operations().find("zebra");
  ASSERT_TRUE(admit(*second, 10'000));
  EXPECT_EQ(admitted(*first), 0);
}

TEST_F(LimiterLease, CountsInWhatItsOwnProcessHasLeft) {
  open("[operations.work]\nrate = { limit = '1000/s burst 6400', lease = 4 }\n");
  ASSERT_TRUE(admit(*first));
  while (admit(*second)) {
  }
  EXPECT_EQ(peek(*first, 3), Verdict::admitted);
  EXPECT_EQ(peek(*second, 3), Verdict::throttled);
  EXPECT_EQ(admitted(*first), 3);
}

// A refund cannot give a leased token its time back, so it gives back what the length of a lease has not refilled.
TEST_F(LimiterLease, GivesBackWithARefundWhatTimeHasNotRefilled) {
  open("[operations.work]\nrate = { limit = '1000/s burst 6400', lease = 4 }\n");
  ASSERT_TRUE(admit(*first));
  Admission large = admit(*first, 1'000);
  ASSERT_TRUE(large);
  const std::uint64_t with = tat();
  refund(*first, 1'000, large);
  const std::uint64_t interval = ticks_from_ns(1'000'000);
  EXPECT_LE(tat(), with - 980 * interval);
  EXPECT_GE(tat(), with - 1'000 * interval);
}

/// Forbids this process to write to the first bytes of what it has mapped of a file. @return how many mappings that were.
int forbid_writing(const std::string& path, std::uint64_t bytes) {
  int mappings = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) == std::string::npos) continue;
    const std::size_t dash = line.find('-');
    const std::uintptr_t begin = std::stoull(line, nullptr, 16);
    const std::uintptr_t end = std::stoull(line.substr(dash + 1), nullptr, 16);
    const std::uint64_t length = std::min<std::uint64_t>(end - begin, bytes);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel names the mapping in digits
    if (::mprotect(reinterpret_cast<void*>(begin), length, PROT_READ) != 0) std::abort();
    ++mappings;
  }
  return mappings;
}

// What a thread counts, it alone writes; it lies in the last section.
TEST_F(LimiterLease, LetsAnAdmissionWriteNothingShared) {
  open(
      "[global]\nrate = { limit = '1000000/s burst 1000000', lease = 100 }\n"
      "[operations.work]\nrate = { limit = '100000/s burst 100000', lease = 100 }\n");
  EXPECT_EQ(test::in_child([&] {
              if (!admit(*first)) return 1;
              if (forbid_writing(name.path(), before_metrics()) < 2) return 3;
              for (int i = 0; i < 99; ++i) {
                if (!admit(*first)) return 2;
              }
              return 0;
            }),
            0);
}

TEST_F(LimiterLease, LetsARefusalWriteNothingShared) {
  open(
      "[global]\nrate = { limit = '1000000/s burst 1000000', lease = 100 }\n"
      "[operations.work]\nrate = { limit = '1000/s burst 6400', lease = 4 }\n");
  EXPECT_EQ(test::in_child([&] {
              while (admit(*first)) {
              }
              if (forbid_writing(name.path(), before_metrics()) < 2) return 3;
              for (int i = 0; i < 100; ++i) {
                if (admit(*first)) return 2;
              }
              return 0;
            }),
            0);
}

/// The cache lines of the segment that two readings of its file do not agree on.
std::size_t lines_changed(const std::string& before, const std::string& after) {
  std::size_t lines = 0;
  for (std::size_t at = 0; at < before.size(); at += kCacheLine)
    lines += before.compare(at, kCacheLine, after, at, kCacheLine) != 0 ? 1 : 0;
  return lines;
}
std::string bytes_of(const std::string& path, std::uint64_t bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string read(bytes, '\0');
  file.read(read.data(), static_cast<std::streamsize>(bytes));
  return read;
}

// Five limits and a breaker: what is left are the line of a permit, and those of the user.
TEST_F(LimiterLease, LeavesTheLinesOfAPermitAndOfTheUser) {
  open(
      "[global]\nrate = { limit = '1000000/s burst 1000000', lease = 100 }\n"
      "[operations.work]\nrate = { limit = '100000/s burst 100000', lease = 100 }\nconcurrent = 64\n"
      "breaker = { failures = 5, recovery = '30s' }\n"
      "user = { rate = '1000/s burst 1000', concurrent = 4 }\n");
  const auto clock = [this] { return now; };
  const auto admit_user = [&] { return first->admit(work, {.user = "alice"}, test::TimeOf(clock)); };
  admit_user().succeed();
  const std::string before = bytes_of(name.path(), before_metrics());
  Admission admission = admit_user();
  ASSERT_TRUE(admission);
  EXPECT_LE(lines_changed(before, bytes_of(name.path(), before_metrics())), 3U);
  admission.succeed();
  EXPECT_LE(lines_changed(before, bytes_of(name.path(), before_metrics())), 1U) << "the user's rate";
}

}  // namespace
}  // namespace weir::detail
