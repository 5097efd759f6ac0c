// SPDX-License-Identifier: Apache-2.0

// Limits and other values that one process publishes and others read: blocks, versioned values, history,
// names.

#include "models/model.hpp"

namespace weir::models {
namespace {

struct NewBlock : rl::test_suite<NewBlock, 2> {
  enum { store_params, store_present, store_block, load_block, load_present };
  SharedWord cells, params, present, hash, block;

  void before() {
    for (SharedWord* word : {&cells, &params, &present, &hash, &block}) word->store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      cells.store(1, mo_relaxed);
      params.store(1, order[store_params]);
      present.store(1, order[store_present]);
      hash.store(1, mo_relaxed);
      block.store(1, order[store_block]);
    } else if (block.load(order[load_block]) != 0) {
      RL_ASSERT(hash.load(mo_relaxed) == 1);
      RL_ASSERT(present.load(order[load_present]) == 1);
      RL_ASSERT(params.load(mo_relaxed) == 1 && cells.load(mo_relaxed) == 1);
    }
  }
};

TEST(BlockModel, AProcessThatFindsABlockFindsItFilled) {
  check<NewBlock>({
      {"write_block() stores params (for sync(reach))", mo_release, {}, {mo_relaxed}},
      {"write_block() stores present (for a line that comes later)", mo_release, {}, {mo_relaxed}},
      {"publish_block(), sync(index)", mo_release, {mo_relaxed}},
      {"find_block(), sync(index)", mo_acquire, {mo_relaxed}},
      {"LimitSet::gather() (for a line that comes later)", mo_acquire, {}, {mo_relaxed}},
  });
}

/// A limit that a block gets later: the index of blocks says nothing about it.
struct NewLine : rl::test_suite<NewLine, 2> {
  enum { store_present, load_present };
  SharedWord cells, params, present;

  void before() {
    for (SharedWord* word : {&cells, &params, &present}) word->store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      cells.store(1, mo_relaxed);
      params.store(1, mo_relaxed);
      present.store(1, order[store_present]);
    } else if (present.load(order[load_present]) != 0) {
      RL_ASSERT(params.load(mo_relaxed) == 1 && cells.load(mo_relaxed) == 1);
    }
  }
};

TEST(BlockModel, AProcessThatSeesABitSeesItsLimit) {
  check<NewLine>({
      {"write_block() stores present, sync(present)", mo_release, {mo_relaxed}},
      {"LimitSet::gather(), sync(present)", mo_acquire, {mo_relaxed}},
  });
}

/// Two copies of two words. The value that is stored with version v is {v, v}.
struct TwoCopies : rl::test_suite<TwoCopies, 2> {
  enum { store_version, store_word, load_version, load_word };
  SharedWord version;
  std::array<std::array<SharedWord, 2>, 2> copies;

  void before() {
    version.store(0, mo_relaxed);
    for (auto& copy : copies)
      for (SharedWord& word : copy) word.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      for (int next = 1; next <= 2; ++next) {
        for (SharedWord& word : copies[next % 2]) word.store(next, order[store_word]);
        version.store(next, order[store_version]);
      }
      return;
    }
    for (int tries = 0; tries < 3; ++tries) {
      const int seen = version.load(order[load_version]);
      const int first = copies[seen % 2][0].load(order[load_word]);
      const int second = copies[seen % 2][1].load(order[load_word]);
      if (version.load(mo_relaxed) != seen) continue;
      RL_ASSERT(first == seen && second == seen);
      return;
    }
  }
};

TEST(VersionedModel, AReaderGetsAWholeValue) {
  check<TwoCopies>({
      {"Versioned::store() stores the version, sync(version)", mo_release, {mo_relaxed}},
      {"Versioned::store() stores a word, sync(slot)", mo_release, {mo_relaxed}},
      {"Versioned::load() loads the version, sync(version)", mo_acquire, {mo_relaxed}},
      {"Versioned::load() loads a word, sync(slot)", mo_acquire, {mo_relaxed}},
  });
}

/// One record of the history, which is written for one change after another.
struct Record : rl::test_suite<Record, 2> {
  enum { clear, store_field, publish, load_sequence, load_field };
  SharedWord sequence;
  std::array<SharedWord, 2> fields;

  void before() {
    sequence.store(0, mo_relaxed);
    for (SharedWord& field : fields) field.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process == 0) {
      for (int change = 1; change <= 3; ++change) {
        sequence.store(0, order[clear]);
        for (SharedWord& field : fields) field.store(change, order[store_field]);
        sequence.store(change, order[publish]);
      }
      return;
    }
    const int seen = sequence.load(order[load_sequence]);
    if (seen == 0) return;
    const int first = fields[0].load(order[load_field]);
    const int second = fields[1].load(order[load_field]);
    if (sequence.load(mo_relaxed) == seen) RL_ASSERT(first == seen && second == seen);
  }
};

TEST(HistoryModel, AReaderTakesAWholeRecordOrNone) {
  check<Record>({
      {"Change::record() clears the sequence", mo_relaxed, {}},
      {"Change::record() stores a field, sync(record)", mo_release, {mo_relaxed}},
      {"Change::record() stores the sequence, sync(record)", mo_release, {mo_relaxed}},
      {"read_history() loads the sequence, sync(record)", mo_acquire, {mo_relaxed}},
      {"read_history() loads a field, sync(record)", mo_acquire, {mo_relaxed}},
  });
}

/// Two processes write two names into one slot. The check word of a name consists of its two words as digits.
struct NameSlot : rl::test_suite<NameSlot, 3> {
  SharedWord check;
  std::array<SharedWord, 2> text;

  void before() {
    check.store(0, mo_relaxed);
    for (SharedWord& word : text) word.store(0, mo_relaxed);
  }
  void thread(unsigned process) {
    if (process < 2) {
      const int name = static_cast<int>(process) + 1;
      check.store(11 * name, mo_relaxed);
      for (SharedWord& word : text) word.store(name, mo_relaxed);
      return;
    }
    const int confirmed = check.load(mo_relaxed);
    const int first = text[0].load(mo_relaxed);
    const int second = text[1].load(mo_relaxed);
    if (confirmed == 10 * first + second) RL_ASSERT(first == second);
  }
};

TEST(NameModel, ANameConfirmedByItsChecksumIsWhole) {
  check<NameSlot>({});
}

}  // namespace
}  // namespace weir::models
