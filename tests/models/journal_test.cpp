// SPDX-License-Identifier: Apache-2.0
#include "models/model.hpp"

namespace weir::models {
namespace {

/// A record of one word, in a ring of one. Sequence: 2 * number while it is written, 2 * number + 1 when it is whole.
template <class Model, int kThreads>
struct JournalRecord : rl::test_suite<Model, kThreads> {
  enum { look_before_claim, claim, publish, look };
  SharedWord tickets, sequence, word, checksum;

  void write(int number, int value) {
    if (!claims(number)) return;
    word.store(value, mo_relaxed);
    checksum.store(sum_of(number, value), mo_relaxed);
    int mine = 2 * number;
    sequence.compare_exchange(mine, 2 * number + 1, order[publish]);
  }
  bool claims(int number) {
    int seen = sequence.load(order[look_before_claim]);
    do {
      if (seen / 2 > number && seen / 2 <= tickets.load(mo_relaxed)) return false;
    } while (!sequence.compare_exchange(seen, 2 * number, order[claim], order[look_before_claim]));
    return true;
  }
  static int sum_of(int number, int value) { return 100 * number + value; }
};

/// A reader that finds a record whole, which no other process overwrites, does not say that it is lost.
struct OneWriter : JournalRecord<OneWriter, 2> {
  void before() {
    for (SharedWord* each : {&tickets, &sequence, &word, &checksum}) each->store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      tickets.store(1, mo_relaxed);
      write(1, 11);
    } else if (sequence.load(order[look]) == 3) {
      const int seen = word.load(mo_relaxed);
      const int sum = checksum.load(mo_relaxed);
      RL_ASSERT(sum == sum_of(1, seen));
    }
  }
};

/// A writer that was overtaken by a lap does not take the newer record for damage.
struct Overtaken : JournalRecord<Overtaken, 2> {
  void before() {
    for (SharedWord* each : {&sequence, &word, &checksum}) each->store(0, mo_relaxed);
    tickets.store(1, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 1) tickets.store(2, mo_relaxed);
    write(process == 0 ? 1 : 2, 11);
  }
  void after() { RL_ASSERT(sequence.load(mo_relaxed) == 5); }
};

TEST(JournalModel, AWholeRecordIsReadWhole) {
  check<OneWriter>({
      {"claim() looks first", mo_acquire, {}, {mo_relaxed}},  // for the other model
      {"claim() exchanges", mo_acq_rel, {}, {mo_relaxed}},    // for the other model
      {"publish(), sync(record)", mo_release, {mo_relaxed}},  //
      {"look(), sync(record)", mo_acquire, {mo_relaxed}},
  });
}

TEST(JournalModel, AnOvertakenWriterLeavesTheNewerRecord) {
  check<Overtaken>({
      {"claim() looks first, sync(record)", mo_acquire, {mo_relaxed}},
      {"claim() exchanges, sync(record)", mo_acq_rel, {mo_relaxed}},
      {"publish()", mo_release, {}},
      {"look()", mo_acquire, {}, {mo_relaxed}},  // no reader here
  });
}

}  // namespace
}  // namespace weir::models
