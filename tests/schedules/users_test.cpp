// SPDX-License-Identifier: Apache-2.0

// The user table under every interleaving, kill and pause: there is one live entry per user and limit, and no
// charge is lost or doubled.

#include <array>
#include <gtest/gtest.h>

#include "primitives/owner_set.hpp"
#include "support/schedule.hpp"
#include "users/table.hpp"

namespace weir::test {
namespace {

using detail::Pair;
using detail::UserBucket;
using detail::UserKey;
using detail::UserLimit;
using detail::UserTable;
using detail::UserTableCounters;

constexpr UserLimit kLimit{1};

// A state that counts its charges and is never at rest.
struct CountUp {
  std::uint64_t now = 10;
  bool may_evict = false;
  std::optional<std::uint64_t> next(std::uint64_t state) const noexcept { return state + 1; }
  static std::uint64_t never_seen(std::uint64_t /*forgotten*/) noexcept { return 0; }
  static std::uint64_t debt(UserLimit /*limit*/, std::uint64_t state) noexcept { return state; }
};

struct Memory {
  std::array<UserBucket, 2> buckets;
  UserTableCounters counters;
  std::array<std::uint64_t, 3> charged{};

  [[nodiscard]] UserTable table() { return {buckets, &counters}; }
  // Every entry but the first `free` of each bucket belongs to another user and is at rest, so it may be
  // taken.
  void fill_with_others(std::size_t free) {
    std::uint64_t other = 1;
    for (UserBucket& bucket : buckets) {
      for (std::size_t i = free; i < UserBucket::kEntries; ++i) {
        Pair empty;
        (void)bucket.entries[i].compare_exchange(empty, {(std::uint64_t{1} << 49) | other++, 0});
      }
    }
  }
};

// Both buckets belong to every key, because the table has only two.
UserKey key_of(std::uint64_t hash) {
  return {0, hash << 20};
}

struct Entries {
  int live = 0;
  int reserved = 0;
  std::uint64_t state = 0;
};

Entries entries_of(Memory& memory, const UserKey& key) {
  Entries found;
  const std::uint64_t tag = (std::uint64_t{1} << 49) | key.tag_hash;
  for (const UserBucket& bucket : memory.buckets) {
    for (const auto& entry : bucket.entries) {
      const std::uint64_t seen = entry.load_first(std::memory_order_relaxed);
      if (seen == tag) ++found.live, found.state = entry.load_second(std::memory_order_relaxed);
      if (seen == (tag | std::uint64_t{1} << 63)) ++found.reserved;
    }
  }
  return found;
}

class UserSchedules : public ::testing::Test {
 protected:
  void declare(std::size_t free) {
    memory.fill_with_others(free);
    program.shared(memory, "memory")
        .name(memory.counters.tickets, "tickets")
        .name(memory.counters.forgotten, "forgotten");
    for (std::size_t b = 0; b < 2; ++b) program.name(memory.buckets[b].entries, b == 0 ? "near" : "far");
  }
  void inserter(const char* name, std::size_t p, const UserKey& key) {
    program.process(name, [this, p, key] {
      if (memory.table().update(key, kLimit, CountUp{}) == UserTable::Outcome::changed) ++memory.charged[p];
    });
  }
  // At the end there is one live entry that has every charge; a killed process may have charged without
  // reporting it.
  Complaint one_entry(const UserKey& key, std::uint64_t told, std::uint64_t killed) {
    const Entries found = entries_of(memory, key);
    if (found.live > 1) return "two live entries of one user";
    if (told > 0 && found.live == 0) return "a charged user is not known";
    if (found.state < told || found.state > told + killed) return "a charge was lost or doubled";
    return std::nullopt;
  }
  std::uint64_t killed(std::size_t processes) {
    std::uint64_t count = 0;
    for (std::size_t p = 0; p < processes; ++p)
      count += program.alive(ProcessId{static_cast<std::uint8_t>(p)}) ? 0 : 1;
    return count;
  }

  Memory memory;
  Program program;
};

TEST_F(UserSchedules, TwoInsertionsOfTheSameUserLeaveOneEntryWithBothCharges) {
  declare(1);
  inserter("first", 0, key_of(7));
  inserter("second", 1, key_of(7));
  program.check([&] { return one_entry(key_of(7), memory.charged[0] + memory.charged[1], killed(2)); });
  const Verdict verdict = explore(program, {.max_kills = 2, .max_steps = 3000, .min_states = 1000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(UserSchedules, TheNextInsertionCompletesTheReservationOfAKilledProcess) {
  declare(1);
  inserter("killed", 0, key_of(7));
  inserter("next", 1, key_of(7));
  program.check([&]() -> Complaint {
    memory.table().update(key_of(7), kLimit, CountUp{});
    if (entries_of(memory, key_of(7)).reserved != 0)
      return "a reservation of the dead stands beside the live entry";
    return one_entry(key_of(7), memory.charged[0] + memory.charged[1] + 1, killed(2));
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_steps = 3000, .min_states = 1000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(UserSchedules, TwoUsersThatWantTheSameVictimBothGetAnEntry) {
  declare(0);
  inserter("alice", 0, key_of(7));
  inserter("bob", 1, key_of(8));
  program.check([&]() -> Complaint {
    const std::array<UserKey, 2> keys{key_of(7), key_of(8)};
    for (std::size_t p = 0; p < 2; ++p) {
      const bool alive = program.alive(ProcessId{static_cast<std::uint8_t>(p)});
      if (auto wrong = one_entry(keys[p], memory.charged[p], alive ? 0 : 1)) return wrong;
      if (alive && memory.charged[p] != 1) return "a user found no entry";
    }
    return std::nullopt;
  });
  const Verdict verdict =
      explore(program, {.max_kills = 1, .max_preemptions = 2, .max_steps = 3000, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(UserSchedules, ThreeInsertionsOfTheSameUserLeaveOneEntry) {
  declare(1);
  for (std::size_t p = 0; p < 3; ++p) inserter(std::array{"first", "second", "third"}[p], p, key_of(7));
  program.check([&] {
    return one_entry(key_of(7), memory.charged[0] + memory.charged[1] + memory.charged[2], killed(3));
  });
  const Verdict verdict = explore(program, {.max_preemptions = 2, .max_steps = 3000, .min_states = 5000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The first process sees an entry at rest in the far bucket only. Then one in the near bucket comes to rest,
// which the second process prefers. So both may reserve, in different entries, and have to settle it between
// them.
TEST_F(UserSchedules, TwoReservationsOfOneKeyLeaveOneEntry) {
  declare(0);
  for (UserBucket& bucket : memory.buckets) {
    for (auto& entry : bucket.entries) {
      Pair seen{entry.load_first(std::memory_order_relaxed), 0};
      (void)entry.compare_exchange(seen, {seen.first, 5});  // the entry owes something
    }
  }
  const auto comes_to_rest = [&](detail::PairWord& entry) {
    Pair seen{entry.load_first(std::memory_order_relaxed), 5};
    (void)entry.compare_exchange(seen, {seen.first, 0});
  };
  comes_to_rest(memory.buckets[1].entries[0]);
  inserter("first", 0, key_of(7));
  inserter("second", 1, key_of(7));
  program.process("other", [&] { comes_to_rest(memory.buckets[0].entries[0]); });
  program.check([&] { return one_entry(key_of(7), memory.charged[0] + memory.charged[1], killed(2)); });
  const Verdict verdict = explore(program, {.max_preemptions = 3, .max_steps = 3000, .min_states = 5000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

namespace owners = detail::owner_set;

owners::PackedOwner owner_of(std::size_t process) {
  return owners::pack({static_cast<std::uint32_t>(process), 1});
}

struct TakeOne : CountUp {
  explicit TakeOne(owners::PackedOwner taker, std::uint32_t room = 1) : owner(taker), capacity(room) {}
  owners::PackedOwner owner;
  std::uint32_t capacity;
  std::optional<std::uint64_t> next(std::uint64_t set) const noexcept {
    return owners::add(set, owner, capacity);
  }
  static std::uint64_t debt(UserLimit, std::uint64_t set) noexcept { return set == 0 ? 0 : detail::kPinned; }
};

// Permits in an entry: one permit, two workers, a sweeper.
TEST_F(UserSchedules, AUsersPermitIsNeverHeldByTwoAndIsReturnedAfterAnyKill) {
  declare(2);
  (void)memory.table().update(key_of(7), kLimit, CountUp{});
  memory.table().modify(key_of(7), kLimit, nullptr,
                        [](std::uint64_t) { return std::optional<std::uint64_t>(0); });
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "first" : "second", [&, p] {
      if (memory.table().update(key_of(7), kLimit, TakeOne(owner_of(p))) != UserTable::Outcome::changed)
        return;
      memory.charged[p] = 1;
      program.require(memory.charged[0] + memory.charged[1] <= 1, "two hold the user's only permit");
      memory.charged[p] = 0;
      memory.table().modify(key_of(7), kLimit, nullptr,
                            [&](std::uint64_t set) { return owners::remove(set, owner_of(p)); });
    });
  }
  const auto sweep = [&] {
    std::array<bool, 2> dead{};
    for (std::size_t p = 0; p < 2; ++p) dead[p] = !program.alive(ProcessId{static_cast<std::uint8_t>(p)});
    memory.table().modify(key_of(7), kLimit, nullptr, [&](std::uint64_t set) -> std::optional<std::uint64_t> {
      const std::uint64_t left =
          owners::without(set, [&](owners::PackedOwner holder) { return dead[owners::slot_of(holder)]; });
      if (left == set) return std::nullopt;
      memory.charged[owners::slot_of(owners::at(set, 0))] = 0;
      return left;
    });
  };
  program.process("sweeper", sweep);
  program.check([&]() -> Complaint {
    sweep();
    if (entries_of(memory, key_of(7)).state != 0) return "a user's permit is lost for ever";
    return std::nullopt;
  });
  const Verdict verdict =
      explore(program, {.max_kills = 1, .max_preemptions = 2, .max_steps = 1000, .min_states = 100});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// The last of two entries holds two permits when the user's limit is lowered to two: no process gets in before one of
// them is given back, and then only one for each.
TEST_F(UserSchedules, ALoweredLimitOfAUserIsKeptStrictlyWhilePermitsDrain) {
  constexpr std::array<UserLimit, 2> kParts{UserLimit{1, 0}, UserLimit{1, 1}};
  declare(3);
  auto table = [&] { return memory.table(); };
  for (int i = 0; i < 2; ++i) (void)table().update(key_of(7), kParts[1], TakeOne(owner_of(2), 4));
  (void)table().update(key_of(7), kParts[0], TakeOne(owner_of(2), 4));
  const auto give_back = [&](UserLimit part, std::size_t p) {
    --memory.charged[p];
    table().modify(key_of(7), part, nullptr,
                   [&](std::uint64_t set) { return owners::remove(set, owner_of(p)); });
  };
  memory.charged[2] = 3;
  for (std::size_t p = 0; p < 2; ++p) {
    program.process(p == 0 ? "first" : "second", [&, p] {
      std::array<std::uint32_t, 2> counts{};
      for (std::size_t part = 0; part < 2; ++part)
        counts[part] = owners::count(table().find(key_of(7), kParts[part]).state);
      for (std::uint32_t part = 0; part < 2; ++part) {
        const TakeOne one(owner_of(p), owners::permits_in(part, owners::usable(counts, 2)));
        if (table().update(key_of(7), kParts[part], one) != UserTable::Outcome::changed) continue;
        ++memory.charged[p];
        program.require(memory.charged[0] + memory.charged[1] + memory.charged[2] <= 2,
                        "a permit was taken above the lowered limit");
        return;
      }
    });
  }
  program.process("holder", [&] {
    give_back(kParts[0], 2);
    give_back(kParts[1], 2);
    give_back(kParts[1], 2);
  });
  const Verdict verdict = explore(program, {.max_preemptions = 2, .max_steps = 2000, .min_states = 500});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// A bucket with one user at rest, Alice, and seven who owe something. States of the others begin at 1000, so
// that a charge or a look that reaches the wrong entry shows.
class OneVictim : public UserSchedules {
 protected:
  void declare(std::uint64_t alices) {
    program.shared(memory, "memory")
        .name(memory.counters.tickets, "tickets")
        .name(memory.counters.forgotten, "forgotten")
        .name(memory.buckets[0].entries, "bucket");
    put(0, alice, alices);
    for (std::uint64_t i = 1; i < UserBucket::kEntries; ++i) put(i, key_of(i), 1000);
  }
  void put(std::size_t position, const UserKey& key, std::uint64_t state) {
    Pair empty;
    (void)memory.buckets[0].entries[position].compare_exchange(
        empty, {(std::uint64_t{1} << 49) | key.tag_hash, state});
  }
  UserTable bucket() { return {std::span(memory.buckets).first(1), &memory.counters}; }
  std::uint64_t state_of(const UserKey& key) { return bucket().find(key, kLimit).state; }
  [[nodiscard]] bool killed_any() { return killed(2) != 0; }

  const UserKey alice = key_of(100);
  const UserKey bob = key_of(200);
};

// Bob's first charge puts 1000 into his entry.
struct BobComes : CountUp {
  static std::uint64_t never_seen(std::uint64_t /*forgotten*/) noexcept { return 999; }
};

TEST_F(OneVictim, AChargedUserIsNotForgottenAndAForgottenUserIsNotCharged) {
  declare(0);
  program.process("charges alice", [&] {
    if (bucket().update(alice, kLimit, CountUp{}) == UserTable::Outcome::changed) memory.charged[0] = 1;
  });
  program.process("inserts bob", [&] {
    if (bucket().update(bob, kLimit, BobComes{}) == UserTable::Outcome::changed) memory.charged[1] = 1;
  });
  program.process("looks", [&] {
    const auto found = bucket().find(alice, kLimit);
    program.require(found.entry == nullptr || found.state <= 1, "alice is shown what bob owes");
  });
  program.check([&]() -> Complaint {
    if (memory.charged[0] == 1 && state_of(alice) != 1) return "alice was charged and forgotten";
    if (memory.charged[1] == 1 && state_of(bob) != 1000) return "bob's entry is not as he was charged";
    if (memory.charged[0] + memory.charged[1] > 1) return "two users in one entry";
    if (!killed_any() && memory.charged[0] + memory.charged[1] == 0)
      return "the free entry was not given to anybody";
    return std::nullopt;
  });
  const Verdict verdict =
      explore(program, {.max_kills = 1, .max_preemptions = 2, .max_steps = 2000, .min_states = 1000});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST_F(OneVictim, ARefundNeverReachesTheNextUserOfTheEntry) {
  declare(5);  // the least debt: the policy allows Bob to take the entry
  program.process("refunds alice", [&] {
    const auto found = bucket().find(alice, kLimit);
    bucket().modify(alice, kLimit, found.entry,
                    [](std::uint64_t owed) -> std::optional<std::uint64_t> { return owed - 1; });
  });
  program.process("inserts bob", [&] {
    BobComes change;
    change.may_evict = true;
    if (bucket().update(bob, kLimit, change) == UserTable::Outcome::changed) memory.charged[1] = 1;
  });
  program.check([&]() -> Complaint {
    const std::uint64_t bobs = state_of(bob);
    if (bobs != 0 && bobs != 1000) return "bob was given what was alice's";
    if (memory.charged[1] == 1 && bobs == 0) return "bob was charged and is not known";
    const std::uint64_t alices = state_of(alice);
    if (alices != 0 && alices != 4 && alices != 5) return "alice was refunded twice";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_steps = 2000, .min_states = 200});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

// Two processes have different views of time. Alice owes until 100. For the process at 200 she is at rest,
// and it forgets her in favour of Bob. The other process read the clock at 50 and was then stopped: whenever
// it continues, she is refused.
TEST_F(OneVictim, AnOldClockReadingDoesNotAdmitAForgottenUser) {
  struct OneToken {
    std::uint64_t now;
    bool may_evict = true;
    std::optional<std::uint64_t> next(std::uint64_t tat) const noexcept {
      return tat > now ? std::nullopt : std::optional(now + 50);
    }
    static std::uint64_t never_seen(std::uint64_t forgotten) noexcept { return forgotten; }
    std::uint64_t debt(UserLimit /*limit*/, std::uint64_t tat) const noexcept {
      return tat > now ? tat - now : 0;
    }
  };
  declare(100);
  program.process("at 50", [&] {
    const auto outcome = bucket().update(alice, kLimit, OneToken{50});
    program.require(outcome != UserTable::Outcome::changed, "alice was fresh at 50 and owed until 100");
  });
  program.process("at 200", [&] {
    if (bucket().update(bob, kLimit, OneToken{200}) == UserTable::Outcome::changed) memory.charged[1] = 1;
  });
  program.check([&]() -> Complaint {
    if (memory.charged[1] == 1 && state_of(bob) != 250) return "bob is not charged";
    return std::nullopt;
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .max_steps = 2000, .min_states = 200});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test
