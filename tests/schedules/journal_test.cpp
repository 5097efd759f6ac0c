// SPDX-License-Identifier: Apache-2.0

// The journal under every interleaving, kill and pause of its writers. A ring of one record is lapped by each write, so a
// writer that is left in the middle and goes on later has been lapped.

#include "primitives/journal.hpp"

#include <array>
#include <gtest/gtest.h>
#include <optional>

#include "support/schedule.hpp"

namespace weir::test {
namespace {

using detail::BasicJournal;
using detail::BasicJournalRecord;
using detail::BasicJournalView;
using detail::Interval;
using detail::JournalLook;
using detail::Word;
namespace journal_record = detail::journal_record;

constexpr std::size_t kWords = 2;
using Words = std::array<std::uint64_t, kWords>;

/// How a test writes and reads: as the journal does, or with a planted fault.
enum class Protocol { sound, without_checksum, sequence_first };

template <std::size_t kRecords>
struct Ring {
  Word tickets;
  std::array<BasicJournalRecord<kWords>, kRecords> records;
  std::array<std::uint64_t, 4> number_of{};  ///< the number that each writer was told; 0: none
  std::array<std::uint64_t, 4> finished{};   ///< whether each writer has ended

  /// Each writer writes its own number in every word.
  void write(std::uint64_t writer, Protocol protocol = Protocol::sound) {
    const Words words{writer, writer};
    if (protocol != Protocol::sequence_first) {
      number_of[writer] = BasicJournal<kWords>(tickets, records).write(words);
    } else {
      const std::uint64_t number = tickets.fetch_add(1, std::memory_order_relaxed) + 1;
      auto& record = records[number % kRecords];
      if (!journal_record::claim(record, number, tickets)) return;
      if (journal_record::publish(record, number)) number_of[writer] = number;
      journal_record::fill(record, number, words);
    }
    finished[writer] = 1;
  }

  [[nodiscard]] JournalLook look(std::uint64_t number, Words& words,
                                 Protocol protocol = Protocol::sound) const {
    if (protocol != Protocol::without_checksum)
      return BasicJournalView<kWords>(tickets, records).look(number, words);
    const auto& record = records[number % kRecords];
    const std::uint64_t sequence = record.sequence.load(std::memory_order_acquire);
    if (sequence != journal_record::whole(number)) return JournalLook::unfinished;
    (void)journal_record::copy(record, words);
    return record.sequence.load(std::memory_order_relaxed) == sequence ? JournalLook::whole
                                                                       : JournalLook::lost;
  }

  [[nodiscard]] std::uint64_t newest() const { return BasicJournalView<kWords>(tickets, records).newest(); }

  /// What is wrong with the records that can be read in the end.
  [[nodiscard]] Complaint check() const {
    for (std::uint64_t number = 1; number <= newest(); ++number) {
      Words words{};
      if (look(number, words) != JournalLook::whole) continue;
      if (words[0] != words[1]) return "a garbled record is taken for whole";
      // A writer that was killed behind its publication was told nothing.
      const std::uint64_t told = number_of[words[0] % number_of.size()];
      if (told != number && told != 0) return "a record has the number of another";
    }
    return std::nullopt;
  }
};

template <std::size_t kRecords>
void name(Program& program, Ring<kRecords>& ring) {
  program.shared(ring, "ring").name(ring.tickets, "tickets");
  for (std::size_t i = 0; i < kRecords; ++i) {
    program.name(ring.records[i].sequence, "sequence")
        .name(ring.records[i].words, "word")
        .name(ring.records[i].checksum, "checksum");
  }
}

/// Two writers, of which one writes twice, and a reader, in a ring of one record.
Verdict lap_a_ring_of_one(Protocol protocol, unsigned kills) {
  Ring<1> ring;
  Program program;
  name(program, ring);
  program.process("stopped", [&] { ring.write(1, protocol); });
  program.process("lapping", [&] {
    ring.write(2, protocol);
    ring.write(3, protocol);
  });
  program.process("reader", [&] {
    for (const std::uint64_t number : {2U, 3U}) {
      Words words{};
      if (ring.look(number, words, protocol) != JournalLook::whole) continue;
      program.require(words[0] == words[1], "a garbled record is taken for whole");
    }
  });
  program.check([&] { return ring.check(); });
  return explore(program, {.max_kills = kills, .max_preemptions = 4, .min_states = 500});
}

TEST(JournalSchedules, NoRecordIsGarbledWhereverAWriterIsStoppedLappedOrKilled) {
  const Verdict verdict = lap_a_ring_of_one(Protocol::sound, 1);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(JournalSchedules, WithoutTheChecksumAWriterThatWakesAfterALapGarblesARecord) {
  EXPECT_EQ(lap_a_ring_of_one(Protocol::without_checksum, 0).failure, "a garbled record is taken for whole");
}

/// One writer in a ring that is not lapped, and a reader that looks for its record.
Verdict watch_a_writer(Protocol protocol) {
  Ring<2> ring;
  Program program;
  name(program, ring);
  const ProcessId writer = program.process("writer", [&] { ring.write(1, protocol); });
  program.process("reader", [&] {
    const bool ended = ring.finished[1] == 1;
    Words words{};
    const JournalLook seen = ring.look(1, words, protocol);
    program.require(seen != JournalLook::lost,
                    "a record that no other process overwrites is said to be lost");
    program.require(seen == JournalLook::whole || !ended, "a finished record is not seen");
    program.require(seen != JournalLook::whole || words == Words{1, 1}, "a record is read half written");
  });
  program.check([&]() -> Complaint {
    Words words{};
    const JournalLook seen = ring.look(1, words, protocol);
    if (program.alive(writer) && seen != JournalLook::whole) return "the record of a living writer is lost";
    return std::nullopt;
  });
  return explore(program, {.max_kills = 1, .min_states = 20});
}

TEST(JournalSchedules, ARecordIsUnfinishedAndThenWhole) {
  const Verdict verdict = watch_a_writer(Protocol::sound);
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(JournalSchedules, ASequenceThatIsStoredFirstIsFound) {
  EXPECT_EQ(watch_a_writer(Protocol::sequence_first).failure,
            "a record that no other process overwrites is said to be lost");
}

TEST(JournalSchedules, AllRecordsOfLivingWritersAreKeptIfThereIsRoom) {
  Ring<3> ring;
  Program program;
  name(program, ring);
  std::array<ProcessId, 2> writers{};
  for (std::uint64_t writer : {1U, 2U})
    writers[writer - 1] =
        program.process(writer == 1 ? "first" : "second", [&, writer] { ring.write(writer); });
  program.check([&]() -> Complaint {
    for (std::uint64_t writer : {1U, 2U}) {
      if (!program.alive(writers[writer - 1])) continue;
      Words words{};
      if (ring.number_of[writer] == 0 || ring.look(ring.number_of[writer], words) != JournalLook::whole ||
          words != Words{writer, writer})
        return "the record of a living writer is lost";
    }
    // The next lap uses what killed writers left.
    ring.write(3);
    Words words{};
    if (ring.look(ring.number_of[3], words) != JournalLook::whole || words != Words{3, 3})
      return "a record that a killed writer left cannot be written again";
    return ring.check();
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 300});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

TEST(IntervalSchedules, OneProcessOfThreeBeginsAnInterval) {
  struct {
    Word due;
    std::uint64_t begun = 0;
  } memory;
  Program program;
  program.shared(memory, "memory").name(memory.due, "due");
  for (const char* const one : {"first", "second", "third"})
    program.process(one, [&] { memory.begun += Interval(memory.due).begins(100, 60) ? 1 : 0; });
  program.check([&]() -> Complaint {
    if (memory.begun > 1) return "two processes began the same interval";
    return Interval(memory.due).begins(160, 60) ? std::nullopt : Complaint("the next interval never begins");
  });
  const Verdict verdict = explore(program, {.max_kills = 1, .min_states = 10});
  EXPECT_TRUE(verdict.ok()) << verdict;
}

}  // namespace
}  // namespace weir::test
