// SPDX-License-Identifier: Apache-2.0

// Whose segments a process attaches to.

#include "segment/trust.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/mapping.hpp"
#include "segment/small_segment.hpp"
#include "support/fork.hpp"
#include "support/segment_name.hpp"

namespace weir::detail {
namespace {

using test::in_child;
using test::SegmentName;
using ::testing::HasSubstr;

TEST(Segment, RefusesOneThatAnybodyMayWrite) {
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  ASSERT_EQ(::chmod(name.path().c_str(), 0666), 0);
  const auto attached = attach(name.str());
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Errc::permission);
  EXPECT_THAT(attached.error().what, HasSubstr("0666"));
}

TEST(Segment, OfAnotherUserIsRefusedByNameWhereNobodyExpectsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const SegmentName name;
  ASSERT_EQ(in_child([&] {
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
              PublishSpec spec = spec_of(name.str());
              spec.mode = 0660;
              return Segment::publish(spec, fill_with_sevens) ? 0 : 2;
            }),
            0);
  const auto attach_as = [&](const Trust& trust) {
    return Segment::attach(name.str(), OpenMode::read_write, kAbi, trust);
  };
  for (const Trust& trust : {Trust{.root_trusts_all = false}, Trust{.root_trusts_all = false, .mode = 0600},
                             Trust{.root_trusts_all = false, .mode = 0660, .group = 0}}) {
    const auto refused = attach_as(trust);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::permission);
    EXPECT_THAT(refused.error().message(), HasSubstr(name.str()));
    EXPECT_THAT(refused.error().message(), HasSubstr("belongs to user 65534"));
    EXPECT_THAT(refused.error().message(), HasSubstr("remove"));
  }
  EXPECT_TRUE(attach_as({.root_trusts_all = false, .mode = 0660, .group = 65534}))
      << "the group it is shared with";
  EXPECT_TRUE(attach_as({})) << "an operator looks at what there is";
}

TEST(Segment, OfAnotherGroupOrMoreOpenThanItsConfigurationIsRefused) {
  const SegmentName name;
  PublishSpec spec = spec_of(name.str());
  spec.mode = 0640;
  ASSERT_TRUE(Segment::publish(spec, fill_with_sevens));
  const auto message_under = [&](const Trust& trust) {
    const auto attached = Segment::attach(name.str(), OpenMode::read_write, kAbi, trust);
    return attached ? std::string() : attached.error().message();
  };
  EXPECT_EQ(message_under({.root_trusts_all = false, .mode = 0640}), "");
  EXPECT_EQ(message_under({.root_trusts_all = false, .mode = 0660, .group = ::getegid()}), "");
  EXPECT_THAT(message_under({.root_trusts_all = false, .mode = 0600}),
              HasSubstr("its mode is 0640, more open than segment.mode, 0600; chmod 0600 /dev/shm/weir."));
  EXPECT_THAT(message_under({.root_trusts_all = false, .mode = 0640, .group = ::getegid() + 1}),
              HasSubstr("belongs to group " + std::to_string(::getegid()) + ", and segment.group is group"));
}

TEST(Segment, SaysWhoMayNotAttach) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const SegmentName name;
  { ASSERT_TRUE(Segment::publish(spec_of(name.str()), fill_with_sevens)); }
  EXPECT_EQ(in_child([&] {
              if (::setuid(65534) != 0) return 1;
              const auto attached = attach(name.str());
              return !attached && attached.error().code == Errc::permission ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace weir::detail
