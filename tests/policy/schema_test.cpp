// SPDX-License-Identifier: Apache-2.0

// The table of sections, and what follows from it.

#include "policy/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <vector>

#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;

struct Row {
  std::uint32_t kind;
  std::uint64_t stride;
  std::uint64_t count;
  bool frozen;
  const char* name;
};

/// The directory of a segment of layout 3 for no limits and the settings below. Another weir of this layout reads
/// it, so that it changes with the layout version alone.
constexpr Row kLayout3[] = {{1, 104, 1, true, "settings"},
                            {2, 64, 1, false, "control"},
                            {3, 2176, 511, false, "blocks"},
                            {4, 32, 1024, false, "operation index"},
                            {11, 32, 1024, false, "override index"},
                            {5, 64, 1, false, "user counters"},
                            {6, 128, 67, false, "users"},
                            {7, 128, 3, false, "workers"},
                            {8, 8, 8192, false, "permit cells"},
                            {10, 8, 8192, false, "window cells"},
                            {16, 32, 1024, false, "seats"},
                            {17, 64, 1, false, "gate"},
                            {12, 1664, 256, false, "breakers"},
                            {13, 64, 14, false, "names"},
                            {14, 1408, 64, false, "history"},
                            {15, 1408, 1, false, "difference"},
                            {9, 64, 1, false, "sweep counters"},
                            {18, 524416, 1, false, "journal"},
                            {19, 64, 4, false, "lanes"},
                            {20, 8192, 4 * 32, false, "metric cells"}};

Config small_config() {
  Config config;
  config.segment.users = 100;
  config.segment.workers = 3;
  config.segment.key_names = 7;
  return config;
}

TEST(Schema, LayoutThreeKeepsTheFingerprintThatItsSegmentsCarry) {
  ASSERT_EQ(kLayoutVersion, 3U) << "a new layout: put its fingerprint here";
  EXPECT_EQ(kAbiFingerprint, 0x344b42c21fef77abU)
      << "segments that were made before would be refused without a word about their layout";
}

TEST(Schema, LayoutThreeKeepsTheDirectoryOfItsSegments) {
  const std::vector<SectionSpec> sections = sections_for(small_config());
  ASSERT_EQ(sections.size(), std::size(kLayout3));
  for (std::size_t i = 0; i < sections.size(); ++i) {
    SCOPED_TRACE(kLayout3[i].name);
    EXPECT_EQ(sections[i].kind, kLayout3[i].kind);
    EXPECT_EQ(sections[i].stride, kLayout3[i].stride);
    EXPECT_EQ(sections[i].count, kLayout3[i].count);
    EXPECT_EQ(sections[i].frozen, kLayout3[i].frozen);
  }
}

/// A segment with these sections, the settings of `config`, and nothing else in it.
template <bool kWritable>
Result<BasicSections<kWritable>> sections_of(const std::vector<SectionSpec>& specs, const Config& config) {
  const test::SegmentName name;
  const auto segment =
      Segment::publish({.name = name.str(), .group = {}, .sections = specs}, [&](const Segment& made) {
        if (!made.section(1, sizeof(SettingsRecord)).empty()) store_settings(made, settings_of(config));
      });
  EXPECT_TRUE(segment) << segment.error().message();
  return BasicSections<kWritable>::of(*segment);
}

TEST(Schema, FindsEverySectionOfASegmentThatItMade) {
  const Config config = small_config();
  const auto all = sections_of<true>(sections_for(config), config);
  ASSERT_TRUE(all) << all.error().message();
  EXPECT_EQ(all->settings.workers, 3U);
  EXPECT_EQ(all->workers.size(), 3U);
  EXPECT_EQ(all->names.size(), 14U);
  EXPECT_EQ(all->users.size(), 67U);
  EXPECT_EQ(all->history.size(), kHistoryRecords);
  for (const void* one :
       {static_cast<const void*>(all->control), static_cast<const void*>(all->user_counters),
        static_cast<const void*>(all->difference), static_cast<const void*>(all->gate),
        static_cast<const void*>(all->swept)})
    EXPECT_NE(one, nullptr);
  static_assert(std::is_const_v<decltype(SectionsView().blocks)::element_type>, "who looks cannot write");
  EXPECT_TRUE(sections_of<false>(sections_for(config), config));
}

TEST(Schema, NamesTheSectionThatIsMissingOrHasAnImpossibleSize) {
  const Config config = small_config();
  const std::vector<SectionSpec> whole = sections_for(config);
  const auto expect_refused = [&](const std::vector<SectionSpec>& specs, const std::string& section) {
    const auto sections = sections_of<true>(specs, config);
    ASSERT_FALSE(sections) << section;
    EXPECT_EQ(sections.error().code, Errc::damaged);
    EXPECT_THAT(sections.error().message(), HasSubstr("its section \"" + section + '"'));
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const std::string name = kLayout3[i].name;
    std::vector<SectionSpec> changed = whole;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    expect_refused(changed, name);

    changed = whole;
    ++changed[i].count;
    // Only the creator knows how many of these there are.
    if (name == "users" || name == "permit cells" || name == "window cells" || name == "seats" ||
        name == "metric cells") {
      EXPECT_TRUE(sections_of<true>(changed, config)) << name;
    } else {
      expect_refused(changed, name);
    }
  }
}

}  // namespace
}  // namespace weir
