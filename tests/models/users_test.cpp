// SPDX-License-Identifier: Apache-2.0
#include "models/entry.hpp"

namespace weir::models {
namespace {

constexpr int kLive = 1;
constexpr int kReserved = 2;

/// Two processes insert one key at the same time, each by reserving a different entry of two.
struct Insert : rl::test_suite<Insert, 2> {
  static constexpr rl::iteration_t kRandomRuns = 50'000;
  static constexpr int kRounds = 2;
  enum { exchange, is_of, look_tag, look_state };
  std::array<Entry, 2> entries;
  std::array<rl::var<int>, 2> charged;

  void before() {
    for (Entry& entry : entries) entry.set(0, 0);
    for (auto& one : charged) one($) = 0;
  }
  static Seen look(Entry& entry) {
    for (;;) {
      const Seen seen{entry.tag(order[look_tag]), entry.state(order[look_state])};
      if (entry.tag(mo_relaxed) == seen.tag) return seen;
    }
  }
  bool withdraw(int own, int ticket) {
    Seen reservation{kReserved, ticket};
    entries[own].compare_exchange(reservation, {0, 0}, order[exchange]);
    return false;
  }
  bool settle(int own, int ticket) {
    Entry& other = entries[1 - own];
    if (other.tag(order[is_of]) != 0) {
      Seen seen = look(other);
      if (seen.tag == kLive) return withdraw(own, ticket);
      if (seen.tag == kReserved && (own == 1 || !other.compare_exchange(seen, {0, 0}, order[exchange])))
        return withdraw(own, ticket);
    }
    Seen reservation{kReserved, ticket};
    return entries[own].compare_exchange(reservation, {kLive, 1}, order[exchange]);
  }
  bool charge(Entry& entry, Seen seen) {
    while (seen.tag == kLive) {
      if (entry.compare_exchange(seen, {kLive, seen.state + 1}, order[exchange])) return true;
    }
    return false;
  }
  /// The first round has already looked and found nothing.
  bool attempt(int me, int round) {
    int empty = round == 0 ? 1 - me : -1;
    for (int i = 0; i < 2 && round > 0; ++i) {
      const Seen seen = look(entries[i]);
      if (seen.tag == kLive) return charge(entries[i], seen);
      if (seen.tag == kReserved) return settle(i, seen.state);
      empty = i;
    }
    const int ticket = 10 * (me + 1) + round;
    Seen nothing{0, 0};
    return empty >= 0 && entries[empty].compare_exchange(nothing, {kReserved, ticket}, order[exchange]) &&
           settle(empty, ticket);
  }
  void thread(unsigned process) {
    for (int round = 0; round < kRounds && charged[process]($) == 0; ++round)
      charged[process]($) = attempt(static_cast<int>(process), round) ? 1 : 0;
  }
  void after() {
    int live = 0;
    int charges = 0;
    for (Entry& entry : entries) {
      if (entry.tag(mo_relaxed) != kLive) continue;
      ++live;
      charges += entry.state(mo_relaxed);
    }
    RL_ASSERT(live <= 1);
    RL_ASSERT(charges == charged[0]($) + charged[1]($));
  }
};

TEST(UserModel, TwoInsertionsOfOneKeyLeaveOneEntryWithBothCharges) {
  check<Insert>({
      {"PairWord::compare_exchange(), sync(settle)", mo_seq_cst, {mo_acq_rel}},
      {"UserTable::is_of(), sync(settle)", mo_seq_cst, {mo_acquire}},
      {"UserBucket::look() loads the tag (for a plain look)", mo_acquire, {}, {mo_relaxed}},
      {"UserBucket::look() loads the state (for a plain look)", mo_acquire, {}, {mo_relaxed}},
  });
}

/// A plain look while an entry passes from user 1 (states 11, 12) to user 2 (state 21).
struct Look : rl::test_suite<Look, 2> {
  static constexpr rl::iteration_t kRandomRuns = 50'000;
  enum { exchange, load_tag, load_state };
  Entry entry;

  void before() { entry.set(1, 11); }
  void thread(unsigned process) {
    if (process == 0) {
      entry.change({1, 12}, order[exchange]);
      entry.change({2, 21}, order[exchange]);
      return;
    }
    const int tag = entry.tag(order[load_tag]);
    const int state = entry.state(order[load_state]);
    const int again = entry.tag(mo_relaxed);
    if (tag < Entry::kMark && again == tag) RL_ASSERT(state / 10 == tag);
  }
};

TEST(UserModel, ALookGivesAStateThatThisUserHad) {
  check<Look>({
      {"PairWord::compare_exchange(), sync(entry)", mo_seq_cst, {mo_acquire, mo_relaxed}, {mo_release}},
      {"UserBucket::confirmed(), look() load the tag, sync(entry)", mo_acquire, {mo_relaxed}},
      {"UserBucket::confirmed(), look() load the state, sync(entry)", mo_acquire, {mo_relaxed}},
  });
}

/// A charge and a refund run beside an eviction.
struct Charge : rl::test_suite<Charge, 3> {
  static constexpr rl::iteration_t kRandomRuns = 50'000;
  enum { exchange };
  Entry entry;
  std::array<rl::var<int>, 3> net;

  void before() {
    entry.set(1, 11);
    for (auto& one : net) one($) = 0;
  }
  void thread(unsigned process) {
    Seen seen{1, 11};
    Seen next{2, 20};
    const int by = process == 1 ? 1 : -1;
    if (process != 0) {
      seen = {entry.tag(mo_acquire), entry.state(mo_acquire)};
      if (seen.tag != 1) return;
      next = {1, seen.state + by};
    }
    if (entry.compare_exchange(seen, next, order[exchange])) net[process]($) = process == 0 ? 1 : by;
  }
  void after() { RL_ASSERT(entry.state(mo_relaxed) == (net[0]($) != 0 ? 20 : 11 + net[1]($) + net[2]($))); }
};

TEST(UserModel, NoUserIsChargedForAnother) {
  check<Charge>({{"PairWord::compare_exchange()", mo_seq_cst, {}, {mo_relaxed}}});
}

/// A user is forgotten at 5 by a process that then gives the entry away; another eviction may have raised the
/// word to 10 before. A third process inserts the user again: it has looked at the old entry in its survey
/// and in settle().
struct Forgotten : rl::test_suite<Forgotten, 3> {
  enum { exchange, look, is_of, raise, load };
  Entry old;
  SharedWord forgotten;

  void before() {
    old.set(1, 0);
    forgotten.store(0, mo_relaxed);
  }
  void raise_to(int now) {
    int seen = forgotten.load(mo_relaxed);
    while (seen < now && !forgotten.compare_exchange(seen, now, order[raise])) {
    }
  }
  void thread(unsigned process) {
    if (process == 0) {
      raise_to(5);
      Seen seen{1, 0};
      old.compare_exchange(seen, {2, 7}, order[exchange]);
    } else if (process == 1) {
      raise_to(10);
    } else if (old.tag(order[look]) != 1 && old.tag(order[is_of]) != 1) {
      RL_ASSERT(forgotten.load(order[load]) >= 5);
    }
  }
};

TEST(UserModel, AForgottenUserCountsAsAtRestSinceThen) {
  check<Forgotten>({
      {"PairWord::compare_exchange() evicts", mo_seq_cst, {mo_acquire, mo_relaxed}, {mo_release}},
      {"UserBucket::look() in the survey (is_of() covers it)", mo_acquire, {}, {mo_relaxed}},
      {"UserTable::is_of() in settle() (the survey covers it)", mo_seq_cst, {}, {mo_relaxed}},
      {"UserTable::raise_forgotten()", mo_relaxed, {}},
      {"UserTable::first_state()", mo_relaxed, {}},
  });
}

}  // namespace
}  // namespace weir::models
