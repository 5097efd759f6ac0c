// SPDX-License-Identifier: Apache-2.0

// The journal of a process that was killed while it wrote.

#include "primitives/journal.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/crash_images.hpp"
#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using detail::BasicJournal;
using detail::BasicJournalRecord;
using detail::BasicJournalView;
using detail::JournalLook;
using detail::Word;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t kWords = 4;
using Words = std::array<std::uint64_t, kWords>;

struct Ring {
  Word tickets;
  std::array<BasicJournalRecord<kWords>, 2> records;

  std::uint64_t write(std::uint64_t value) {
    return BasicJournal<kWords>(tickets, records).write({value, value, value, value});
  }
  [[nodiscard]] JournalLook look(std::uint64_t number, std::uint64_t expected) const {
    Words words{};
    const JournalLook seen = BasicJournalView<kWords>(tickets, records).look(number, words);
    if (seen == JournalLook::whole) {
      EXPECT_EQ(words, (Words{expected, expected, expected, expected}));
    }
    return seen;
  }
};

// The ring is full, so the record that is written is one that was whole.
TEST(JournalCrash, KilledInsideAWriteTheRecordIsMissingOrWholeAndTheJournalGoesOn) {
  if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  SharedObject<Ring> ring;
  ring->write(1);
  ring->write(2);
  const CrashImages crash = crash_images(ring.bytes(), [&] { ring->write(3); });
  ASSERT_EQ(crash.error, "");
  // The ticket, the claim, four words, the checksum, the publication.
  EXPECT_THAT(crash.images, SizeIs(1 + 3 + kWords + 1));
  const Image* const last = &crash.images.back();
  const auto failures = for_each_image(crash, ring.bytes(), [&](const Image& image) {
    EXPECT_EQ(ring->look(2, 2), JournalLook::whole) << "the record before it is not touched";
    EXPECT_EQ(ring->look(3, 3),
              image.instruction == last->instruction ? JournalLook::whole : JournalLook::unfinished);
    for (const std::uint64_t value : {4U, 5U, 6U}) {
      const std::uint64_t number = ring->write(value);
      EXPECT_EQ(ring->look(number, value), JournalLook::whole);
    }
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test
