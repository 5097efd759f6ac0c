// SPDX-License-Identifier: Apache-2.0
#include "segment/huge_pages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iostream>
#include <string>
#include <string_view>

#include "segment/mapping.hpp"
#include "segment/small_segment.hpp"
#include "support/fork.hpp"
#include "support/namespace.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using ::testing::HasSubstr;

TEST(Segment, SaysWhoForbidsHugePages) {
  constexpr std::string_view kPlain = "24 23 0:22 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24683620k\n";
  constexpr std::string_view kAdvise = "24 23 0:22 / /dev/shm rw - tmpfs tmpfs rw,huge=advise,inode64\n";
  const auto refused = [](std::string_view mounts, std::string_view enabled) {
    return huge_pages_refused("/dev/shm", mounts, enabled);
  };
  EXPECT_EQ(refused(kPlain, "always advise [never] deny force").hint,
            "mount -o remount,huge=advise /dev/shm");
  EXPECT_EQ(refused(kAdvise, "always advise [never] deny force").why, "");
  EXPECT_EQ(refused(std::string(kAdvise) + std::string(kPlain), "[never]").why,
            "/dev/shm is mounted with huge=never")
      << "the last mount is the one that is seen";
  EXPECT_EQ(refused(kPlain, "always never deny [force]").why, "");
  EXPECT_THAT(refused(kAdvise, "always never [deny] force").why, HasSubstr("says deny"));
  EXPECT_NE(refused(kAdvise, "").why, "");
}

TEST(Segment, OfHugePagesServesWhetherTheKernelGivesThemOrNot) {
  for (const char* options : {"size=64m", "size=64m,huge=advise"}) {
    const int result = in_child([&] {
      if (!test::own_shared_memory(options)) return 77;
      const SectionSpec sections[] = {{1, 8, 1 << 20, false}};
      PublishSpec spec = spec_of("huge");
      spec.sections = sections;
      spec.huge_pages = true;
      const auto published = Segment::publish(spec, [](const Segment&) {});
      if (!published) return 1;
      const auto advised = published->advise_huge();
      if (!advised)
        std::cout << "[segment] " << advised.error().message() << std::endl;  // _exit() flushes nothing
      const bool asked = std::string_view(options).find("huge=") != std::string_view::npos;
      if (!asked && advised) return 2;
      published->section(1, 8)[(8 << 20) - 1] = std::byte{1};
      return published->section(1, 8)[4096] == std::byte{0} ? 0 : 3;
    });
    if (result == 77) GTEST_SKIP() << "this host allows no mount namespace";
    EXPECT_EQ(result, 0) << options;
  }
}

}  // namespace
}  // namespace weir::detail
