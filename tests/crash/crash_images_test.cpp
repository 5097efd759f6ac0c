// SPDX-License-Identifier: Apache-2.0

// The camera itself, and a fault of the kind that it is for. The operations use std::atomic: there are no
// hooks and no scheduler.

#include "support/crash_images.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/shared_object.hpp"

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Word = std::atomic<std::uint64_t>;

/// A limit of one: a count, and beside it the owner of the permit.
struct CountedPermit {
  Word count;
  Word owner;

  void take(std::uint64_t self) {
    count.store(1);
    owner.store(self);  // killed before this: the permit is taken, but has no owner
  }

  void sweep(std::uint64_t dead) {
    if (owner.load() != dead) return;
    owner.store(0);
    count.store(0);
  }
};

class CrashImagesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_single_step()) GTEST_SKIP() << "ptrace is not permitted here: crash images were NOT looked at";
  }
};

TEST_F(CrashImagesTest, ACompareExchangeHasTwoImages) {
  SharedObject<Word> word;
  const CrashImages crash = crash_images(word.bytes(), [&] {
    std::uint64_t expected = 0;
    word->compare_exchange_strong(expected, 7);
  });
  EXPECT_EQ(crash.error, "");
  ASSERT_THAT(crash.images, SizeIs(2));
  EXPECT_EQ(crash.images[0].instruction, 0u);
  EXPECT_GT(crash.images[1].instruction, 0u);
  EXPECT_LE(crash.images[1].instruction, crash.instructions);
}

TEST_F(CrashImagesTest, AnOperationThatOnlyReadsHasOne) {
  SharedObject<Word> word;
  EXPECT_THAT(crash_images(word.bytes(), [&] { (void)word->load(); }).images, SizeIs(1));
}

TEST_F(CrashImagesTest, AnImageThatComesBackIsKeptOnce) {
  SharedObject<Word> word;
  const CrashImages crash = crash_images(word.bytes(), [&] {
    word->store(1);
    word->store(0);
    word->store(1);
  });
  EXPECT_THAT(crash.images, SizeIs(2));
}

TEST_F(CrashImagesTest, StoresOfTheKernelAreSeen) {
  SharedObject<std::array<int, 2>> ends;
  const CrashImages crash = crash_images(ends.bytes(), [&] { EXPECT_EQ(::pipe(ends->data()), 0); });
  EXPECT_EQ(crash.error, "");
  EXPECT_THAT(crash.images, SizeIs(2));
}

TEST_F(CrashImagesTest, TwoStoresThatBelongTogetherAreFound) {
  SharedObject<CountedPermit> permit;
  const CrashImages crash = crash_images(permit.bytes(), [&] { permit->take(1); });
  ASSERT_EQ(crash.error, "");
  ASSERT_THAT(crash.images, SizeIs(3));
  const auto failures = for_each_image(crash, permit.bytes(), [&](const Image&) {
    permit->sweep(1);
    EXPECT_EQ(permit->count.load(), 0u) << "the permit has no holder";
  });
  EXPECT_THAT(failures, ElementsAre(AllOf(HasSubstr("image 2 of 3"), HasSubstr("the permit has no holder"))));
}

TEST_F(CrashImagesTest, OnlyWatchedPartsMakeImages) {
  SharedObject<std::array<Word, 2>> words;
  const CrashImages crash = crash_images(words.bytes(),
                                         [&] {
                                           (*words)[0].store(1);
                                           (*words)[1].store(2);
                                         },
                                         {words.bytes().subspan(8)});
  ASSERT_THAT(crash.images, SizeIs(2));
  EXPECT_EQ(crash.images[1].bytes[0], std::byte{1}) << "an image is complete nevertheless";
}

TEST_F(CrashImagesTest, AnOperationThatCrashesIsAnError) {
  SharedObject<Word> word;
  const CrashImages crash = crash_images(word.bytes(), [] { ::raise(SIGTERM); });
  EXPECT_THAT(crash.error, HasSubstr("killed by Terminated"));
}

TEST_F(CrashImagesTest, AFailedExpectationInsideTheOperationIsAnError) {
  SharedObject<Word> word;
  const CrashImages crash = crash_images(word.bytes(), [] { ADD_FAILURE() << "not as expected"; });
  EXPECT_THAT(crash.error, HasSubstr("not as expected"));
}

TEST(ForEachImage, AHangIsAFailureNamedByItsImage) {
  SharedObject<Word> word;
  CrashImages crash;
  crash.images = {{0, std::vector(8, std::byte{0})}, {5, std::vector(8, std::byte{1})}};
  const auto failures = for_each_image(
      crash, word.bytes(),
      [&](const Image&) {
        while (word->load() != 0) {
        }
      },
      1s);
  EXPECT_THAT(failures, ElementsAre(AllOf(HasSubstr("image 2 of 2"), HasSubstr("hangs"))));
}

TEST(ForEachImage, ACrashIsAFailureAndTheOtherImagesAreStillTried) {
  SharedObject<Word> word;
  CrashImages crash;
  crash.images = {{0, std::vector(8, std::byte{1})}, {5, std::vector(8, std::byte{0})}};
  const auto failures = for_each_image(crash, word.bytes(), [&](const Image&) {
    if (word->load() != 0) ::raise(SIGTERM);
    EXPECT_NE(word->load(), 0u);
  });
  EXPECT_THAT(failures, ElementsAre(HasSubstr("killed by Terminated"), HasSubstr("word->load()")));
}

TEST(ForEachImage, EachImageIsRestoredBeforeItsRecovery) {
  SharedObject<Word> word;
  CrashImages crash;
  crash.images = {{0, std::vector(8, std::byte{0})}, {5, std::vector(8, std::byte{1})}};
  const auto failures = for_each_image(crash, word.bytes(), [&](const Image& image) {
    EXPECT_EQ(word->load() == 0, image.instruction == 0);
    word->store(99);
  });
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace weir::test
