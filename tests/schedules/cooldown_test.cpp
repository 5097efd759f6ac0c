// SPDX-License-Identifier: Apache-2.0

// The cooldown under every interleaving, kill and pause: in a word of its own, and in a user's entry.

#include "primitives/cooldown.hpp"

#include <array>
#include <gtest/gtest.h>
#include <optional>

#include "support/schedule.hpp"
#include "users/table.hpp"

namespace weir::test {
namespace {

using detail::CooldownWord;
using detail::UserBucket;
using detail::UserKey;
using detail::UserLimit;
using detail::UserTable;
using detail::UserTableCounters;
using detail::Word;
using detail::cooldown::Params;

constexpr std::uint64_t kStep = 257;
constexpr std::uint64_t kNow = 1'000 * kStep;
constexpr std::uint64_t kLength = 50 * kStep;

// A cooldown in a word of its own.
struct Alone {
  static constexpr unsigned kPreemptions = 4;
  Word word;

  [[nodiscard]] CooldownWord cooldown() { return CooldownWord(word); }
  void refuse(Params params, std::uint64_t now) { cooldown().refuse(params, now); }
  void end_row() { cooldown().admit(); }
  [[nodiscard]] std::uint64_t state() const { return word.load(std::memory_order_relaxed); }
};

// A cooldown in the entry of a user whom the table knows.
struct OfUser {
  static constexpr unsigned kPreemptions = 2;  // finding the entry takes a step for each entry in its bucket
  static constexpr UserLimit kLimit{1};
  static constexpr UserKey kUser{0, std::uint64_t{1} << 20};

  struct NoteRefusal {
    Params params;
    std::uint64_t now;
    bool may_evict = false;
    std::optional<std::uint64_t> next(std::uint64_t state) const noexcept {
      const std::uint64_t after = detail::cooldown::refused(params, state, now);
      return after == state ? std::nullopt : std::optional(after);
    }
    static std::uint64_t never_seen(std::uint64_t /*forgotten*/) noexcept { return 0; }
    std::uint64_t debt(UserLimit /*limit*/, std::uint64_t state) const noexcept {
      return detail::cooldown::debt(state, now);
    }
  };

  std::array<UserBucket, 1> buckets;
  UserTableCounters counters;

  [[nodiscard]] UserTable table() { return {buckets, &counters}; }
  void refuse(Params params, std::uint64_t now) { table().update(kUser, kLimit, NoteRefusal{params, now}); }
  void end_row() {
    table().modify(kUser, kLimit, nullptr,
                   [](std::uint64_t state) { return std::optional(detail::cooldown::admitted(state)); });
  }
  [[nodiscard]] std::uint64_t state() { return table().find(kUser, kLimit).state; }
};

// A cooldown, and beside it what its users know.
template <class Kept>
struct Memory {
  Kept kept;
  std::array<std::uint64_t, 3> returned{};  // refusals of each process
  std::array<std::uint64_t, 3> until{};     // until when each process saw it blocked
  Word refused;                             // refusals that have returned
  Word admitted;                            // whether the admission has returned
  Word before, after;                       // refusals that returned before it, that began after it

  [[nodiscard]] std::uint64_t told() const { return returned[0] + returned[1] + returned[2]; }
  [[nodiscard]] std::uint64_t wait(std::uint64_t now) { return detail::cooldown::wait(kept.state(), now); }
  [[nodiscard]] std::uint64_t in_a_row() { return detail::cooldown::in_a_row(kept.state()); }
};

template <class Kept>
class CooldownSchedules : public ::testing::Test {
 protected:
  void SetUp() override {
    memory_.kept.refuse({.refusals = 2, .length = kLength}, kNow);
    memory_.kept.end_row();
    program_.shared(memory_, "memory").name(memory_.kept, "cooldown");
  }
  [[nodiscard]] std::uint64_t killed(std::size_t processes) const {
    std::uint64_t count = 0;
    for (std::size_t p = 0; p < processes; ++p)
      count += program_.alive(ProcessId{static_cast<std::uint8_t>(p)}) ? 0 : 1;
    return count;
  }
  void refusing(std::size_t p, Params params, std::uint64_t times, std::uint64_t now = kNow) {
    program_.process("refusing " + std::to_string(p), [this, p, params, times, now] {
      for (std::uint64_t i = 0; i < times; ++i) {
        memory_.after.fetch_add(memory_.admitted.load(std::memory_order_relaxed), std::memory_order_relaxed);
        memory_.kept.refuse(params, now);
        ++memory_.returned[p];
        memory_.refused.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  // As in the limiter, a look decides, and what it saw says whether there is a row of refusals to end.
  void admitting() {
    program_.process("admitting", [this] {
      memory_.before.store(memory_.refused.load(std::memory_order_relaxed), std::memory_order_relaxed);
      const std::uint64_t seen = memory_.kept.state();
      if (detail::cooldown::wait(seen, kNow) != 0) return;
      if (detail::cooldown::in_a_row(seen) != 0) memory_.kept.end_row();
      memory_.admitted.store(1, std::memory_order_relaxed);
    });
  }

  Memory<Kept> memory_;
  Program program_;
};
using Places = ::testing::Types<Alone, OfUser>;
struct NameOf {
  template <class Kept>
  static std::string GetName(int /*index*/) {
    return std::is_same_v<Kept, Alone> ? "InAWord" : "OfAUser";
  }
};
TYPED_TEST_SUITE(CooldownSchedules, Places, NameOf);

TYPED_TEST(CooldownSchedules, BeginsWithTheLastRequiredRefusalAndAKillLosesAtMostItsOwn) {
  constexpr Params params{.refusals = 3, .length = kLength};
  for (std::size_t p = 0; p < 3; ++p) this->refusing(p, params, 1);
  auto& memory = this->memory_;
  this->program_.invariant([&]() -> Complaint {
    if (memory.wait(kNow) == 0 && memory.told() == 3) return "three were refused and it is not on";
    return std::nullopt;
  });
  this->program_.check([&]() -> Complaint {
    if (const std::uint64_t wait = memory.wait(kNow); wait != 0)
      return wait == kLength ? std::nullopt : Complaint("it is not as long as it is to be");
    if (memory.in_a_row() < memory.told()) return "a refusal was lost";
    if (memory.in_a_row() > memory.told() + this->killed(3)) return "a refusal was counted twice";
    return std::nullopt;
  });
  const Verdict verdict = explore(
      this->program_, {.max_kills = 2, .max_preemptions = TypeParam::kPreemptions, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Of three refusals some returned before the admission began, and some began after it returned, so there are
// no three in a row.
TYPED_TEST(CooldownSchedules, NeverBeginsAcrossAnAdmissionAndLosesNoRefusalAfterIt) {
  constexpr Params params{.refusals = 3, .length = kLength};
  this->refusing(0, params, 1);
  this->refusing(1, params, 2);
  this->admitting();
  auto& memory = this->memory_;
  this->program_.check([&]() -> Complaint {
    const std::uint64_t before = memory.before.load(std::memory_order_relaxed);
    const std::uint64_t after = memory.after.load(std::memory_order_relaxed);
    if (before == 0 || after == 0) return std::nullopt;
    if (memory.wait(kNow) != 0) return "it is on although an admission ended the row";
    if (memory.in_a_row() > 3 - before) return "a refusal from before the admission still counts";
    if (memory.in_a_row() < after && this->killed(3) == 0) return "a refusal from after it was lost";
    return std::nullopt;
  });
  const Verdict verdict = explore(
      this->program_, {.max_kills = 1, .max_preemptions = TypeParam::kPreemptions, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Two refusals begin it, and an admission that has looked before comes late: it stays blocked for as long as
// any process saw it blocked.
TYPED_TEST(CooldownSchedules, OnceBegunItLastsUntilItsTime) {
  constexpr Params params{.refusals = 2, .length = kLength};
  auto& memory = this->memory_;
  for (std::size_t p = 0; p < 2; ++p) {
    this->program_.process("refusing " + std::to_string(p), [&memory, p, params] {
      const std::uint64_t now = kNow + p * kStep;
      memory.kept.refuse(params, now);
      memory.kept.refuse(params, now);
      memory.until[p] = memory.kept.state();
    });
  }
  this->admitting();
  this->program_.invariant([&]() -> Complaint {
    const std::uint64_t state = memory.kept.state();
    for (const std::uint64_t until : memory.until) {
      if (until > detail::cooldown::kMaxCount && state != until) return "it was on, and ended or moved";
    }
    return std::nullopt;
  });
  const Verdict verdict = explore(
      this->program_, {.max_kills = 1, .max_preemptions = TypeParam::kPreemptions, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The cooldown has passed for one process, and is on for the other, whose clock reading is late.
TYPED_TEST(CooldownSchedules, AfterItsTimeRefusalsAreCountedFromZeroAlsoWithALateClock) {
  constexpr Params params{.refusals = 2, .length = kLength};
  auto& memory = this->memory_;
  memory.kept.refuse(params, kNow);
  memory.kept.refuse(params, kNow);
  ASSERT_EQ(memory.wait(kNow), kLength);
  this->refusing(0, params, 1, kNow + kLength);
  this->refusing(1, params, 1, kNow + kLength - kStep);
  this->program_.check([&]() -> Complaint {
    // The late process still found it on, or was the second.
    if (memory.told() == 2 && memory.in_a_row() == 0 && memory.wait(kNow + kLength) == 0)
      return "a refusal was lost";
    if (memory.in_a_row() > 1) return "two refusals did not begin a cooldown";
    return std::nullopt;
  });
  const Verdict verdict =
      explore(this->program_, {.max_kills = 1, .max_preemptions = TypeParam::kPreemptions, .min_states = 5});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test
