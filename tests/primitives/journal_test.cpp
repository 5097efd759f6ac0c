// SPDX-License-Identifier: Apache-2.0

// The journal: what a reader sees of each record, also after laps, stops and damage.

#include "primitives/journal.hpp"

#include <array>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace weir::test {
namespace {

using detail::BasicJournal;
using detail::BasicJournalRecord;
using detail::BasicJournalView;
using detail::Interval;
using detail::JournalLook;
using detail::Word;
using ::testing::ElementsAre;
namespace journal_record = detail::journal_record;

constexpr std::size_t kWords = 3;
constexpr std::size_t kRecords = 4;
using Words = std::array<std::uint64_t, kWords>;

struct Ring {
  Word tickets;
  std::array<BasicJournalRecord<kWords>, kRecords> records;

  BasicJournal<kWords> journal() { return {tickets, records}; }
  [[nodiscard]] BasicJournalView<kWords> view() const { return {tickets, records}; }
  std::uint64_t write(std::uint64_t value) { return journal().write({value, value, value}); }
  [[nodiscard]] JournalLook look(std::uint64_t number) const {
    Words words{};
    return view().look(number, words);
  }
  /// The values of all records from the oldest to the newest; 0 stands for one that is not whole.
  [[nodiscard]] std::vector<std::uint64_t> values() const {
    std::vector<std::uint64_t> values;
    for (std::uint64_t number = view().oldest(); number <= view().newest(); ++number) {
      Words words{};
      values.push_back(view().look(number, words) == JournalLook::whole ? words[1] : 0);
    }
    return values;
  }
};

TEST(Journal, RecordsAreReadInTheOrderOfTheirNumbers) {
  Ring ring;
  EXPECT_THAT(ring.values(), ElementsAre());
  EXPECT_EQ(ring.write(11), 1U);
  EXPECT_EQ(ring.write(12), 2U);
  EXPECT_THAT(ring.values(), ElementsAre(11, 12));
}

TEST(Journal, ALapLosesTheOldestRecords) {
  Ring ring;
  for (std::uint64_t value = 1; value <= 6; ++value) ring.write(10 + value);
  EXPECT_EQ(ring.view().oldest(), 3U);
  EXPECT_THAT(ring.values(), ElementsAre(13, 14, 15, 16));
  EXPECT_EQ(ring.look(2), JournalLook::lost);
}

TEST(Journal, AWriterThatDiesWithItsTicketLosesOnlyItsOwnNumber) {
  Ring ring;
  ring.write(11);
  ring.tickets.fetch_add(1, std::memory_order_relaxed);
  ring.write(13);
  EXPECT_EQ(ring.look(2), JournalLook::unfinished);
  EXPECT_THAT(ring.values(), ElementsAre(11, 0, 13));
  for (std::uint64_t value = 4; value <= 6; ++value) ring.write(10 + value);
  EXPECT_THAT(ring.values(), ElementsAre(13, 14, 15, 16)) << "the next lap uses its record";
}

TEST(Journal, AWriterThatDiesBetweenWordsLosesOnlyItsOwnNumber) {
  Ring ring;
  ring.tickets.fetch_add(1, std::memory_order_relaxed);
  ASSERT_TRUE(journal_record::claim(ring.records[1], 1, ring.tickets));
  ring.records[1].words[0].store(11, std::memory_order_release);
  EXPECT_EQ(ring.look(1), JournalLook::unfinished);
  for (std::uint64_t value = 2; value <= 5; ++value) ring.write(10 + value);
  EXPECT_EQ(ring.look(1), JournalLook::lost);
  EXPECT_THAT(ring.values(), ElementsAre(12, 13, 14, 15));
}

TEST(Journal, AWriterThatWakesAfterALapSpoilsARecordThatIsThenLost) {
  Ring ring;
  ring.tickets.fetch_add(1, std::memory_order_relaxed);
  ASSERT_TRUE(journal_record::claim(ring.records[1], 1, ring.tickets));
  for (std::uint64_t value = 2; value <= 5; ++value) ring.write(10 + value);
  ring.records[1].words[2].store(11, std::memory_order_release);  // it wakes
  EXPECT_EQ(ring.look(5), JournalLook::lost);
  journal_record::fill(ring.records[1], 1, Words{11, 11, 11});
  EXPECT_FALSE(journal_record::publish(ring.records[1], 1));
  EXPECT_EQ(ring.look(5), JournalLook::lost) << "the whole content is that of another number";
  EXPECT_THAT(ring.values(), ElementsAre(12, 13, 14, 0));
}

TEST(Journal, AWriterThatWasOvertakenBeforeItsClaimWritesNothing) {
  Ring ring;
  ring.tickets.fetch_add(1, std::memory_order_relaxed);
  for (std::uint64_t value = 2; value <= 5; ++value) ring.write(10 + value);
  EXPECT_FALSE(journal_record::claim(ring.records[1], 1, ring.tickets));
  EXPECT_THAT(ring.values(), ElementsAre(12, 13, 14, 15));
}

TEST(Journal, GoesOnWhereDamageHasSetItsNumbers) {
  for (const std::uint64_t damaged : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{5},
                                      std::uint64_t{900}, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1}) {
    Ring ring;
    for (std::uint64_t value = 1; value <= 6; ++value) ring.write(value);
    ring.tickets.store(damaged, std::memory_order_relaxed);
    for (std::uint64_t value = 21; value <= 28; ++value) ring.write(value);
    EXPECT_THAT(ring.values(), ElementsAre(25, 26, 27, 28)) << damaged;
  }
}

TEST(Journal, RandomBytesAreLostRecordsAndTheNextLapIsWhole) {
  std::mt19937_64 random(20'261'126);
  for (int round = 0; round < 2'000; ++round) {
    Ring ring;
    ring.write(1);
    // Some bytes, or all.
    std::array<unsigned char, sizeof(Ring)> bytes;
    std::memcpy(bytes.data(), static_cast<const void*>(&ring), sizeof(ring));
    const auto flips = round % 2 == 0 ? bytes.size() : std::size_t{random() % 8};
    for (std::size_t i = 0; i < flips; ++i)
      bytes[flips == bytes.size() ? i : random() % bytes.size()] = static_cast<unsigned char>(random());
    std::memcpy(static_cast<void*>(&ring), bytes.data(), sizeof(ring));
    const std::uint64_t newest = ring.view().newest();
    ASSERT_LE(newest - ring.view().oldest() + 1, kRecords);
    for (const std::uint64_t value : ring.values()) EXPECT_TRUE(value == 0 || value == 1);
    if (newest > (~std::uint64_t{0} >> 1) - 2 * kRecords) continue;  // the next numbers wrap
    for (std::uint64_t value = 21; value <= 24; ++value) ring.write(value);
    EXPECT_THAT(ring.values(), ElementsAre(21, 22, 23, 24)) << "round " << round;
  }
}

TEST(Interval, BeginsOncePerInterval) {
  Word due;
  EXPECT_TRUE(Interval(due).begins(100, 60));
  EXPECT_FALSE(Interval(due).begins(100, 60));
  EXPECT_FALSE(Interval(due).begins(159, 60));
  EXPECT_TRUE(Interval(due).begins(160, 60));
  EXPECT_FALSE(Interval(due).begins(150, 60)) << "a clock that is a little late";
}

TEST(Interval, ATimeFurtherAheadThanAnIntervalIsDamage) {
  Word due(1'000'000);
  EXPECT_TRUE(Interval(due).begins(100, 60));
  EXPECT_FALSE(Interval(due).begins(100, 60));
}

}  // namespace
}  // namespace weir::test
