// SPDX-License-Identifier: Apache-2.0

// The journal of a process that was killed while it wrote.

#include "primitives/journal.hpp"

#include <algorithm>
#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "policy/schema.hpp"
#include "segment/mapping.hpp"
#include "support/crash_images.hpp"
#include "support/segment_name.hpp"
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

// The report that trips a breaker: the breaker is open before its record is written.
TEST(JournalCrash, KilledInsideAReportThatTripsTheRecordIsMissingOrWhole) {
  if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  const SegmentName name;
  Config config = *parse_config("[operations.work]\nbreaker = { failures = 1, recovery = \"1h\" }\n", "test");
  config.segment.name = name.str();
  config.segment.users = 8;
  config.segment.workers = 4;
  Limiter limiter = *Limiter::open(config);
  const auto segment =
      *detail::Segment::attach(name.str(), detail::OpenMode::read_write, detail::kAbiFingerprint);
  const auto sections = *detail::Sections::of(segment);
  const std::span<std::byte> bytes{
      reinterpret_cast<std::byte*>(sections.control) - segment.header().sections[1].offset,
      segment.header().total_bytes};
  // The beginning of each section: the rest is not in use here.
  constexpr std::size_t kInUse = 8'192;
  std::vector<std::span<std::byte>> may_change;
  for (const detail::Section& section : segment.header().sections) {
    if (section.count != 0)
      may_change.push_back(bytes.subspan(section.offset, std::min(kInUse, section.stride * section.count)));
  }
  const CrashImages crash = crash_images(
      bytes, [&] { limiter.admit("work").report(Outcome::failure); }, may_change);
  ASSERT_EQ(crash.error, "");
  const Image* const last = &crash.images.back();
  const auto failures = for_each_image(crash, bytes, [&](const Image& image) {
    const bool open = take_snapshot(name.str())->breakers.at(0).state == BreakerState::open;
    const Result<EventPage> page = list_events(name.str(), {.after = 1});
    ASSERT_TRUE(page) << page.error().message();
    int opened = 0;
    for (const EventEntry& entry : page->events) {
      // The killed process was a child of this one, so it joined first.
      if (entry.kind == EventKind::lost || entry.kind == EventKind::joined) continue;
      ASSERT_EQ(entry.kind, EventKind::opened);
      EXPECT_EQ(entry.operation, "work");
      EXPECT_EQ(event_text(entry), "closed to open after 1 failure in a row");
      ++opened;
    }
    EXPECT_LE(opened, open ? 1 : 0) << "a record of what did not happen";
    if (image.instruction == last->instruction) {
      EXPECT_EQ(opened, 1);
    }
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test
