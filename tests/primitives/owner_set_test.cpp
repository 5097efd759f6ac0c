// SPDX-License-Identifier: Apache-2.0
#include "primitives/owner_set.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace weir::detail {
namespace {

constexpr owner_set::PackedOwner kAlice = owner_set::pack(Owner(0, 3));
constexpr owner_set::PackedOwner kBob = owner_set::pack(Owner(4094, 0x1f));

TEST(OwnerSet, HoldsAsManyAsItsCapacity) {
  for (std::uint32_t capacity = 1; capacity <= owner_set::kPermitsPerSet; ++capacity) {
    std::uint64_t set = 0;
    for (std::uint32_t i = 0; i < capacity; ++i) set = owner_set::add(set, kAlice, capacity).value();
    EXPECT_EQ(owner_set::count(set), capacity);
    EXPECT_FALSE(owner_set::add(set, kBob, capacity));
  }
}

TEST(OwnerSet, RemovesOneOfAnOwnerAtATime) {
  std::uint64_t set = 0;
  for (const auto owner : {kAlice, kBob, kAlice}) set = owner_set::add(set, owner, 4).value();
  set = owner_set::remove(set, kAlice).value();
  set = owner_set::remove(set, kAlice).value();
  EXPECT_FALSE(owner_set::remove(set, kAlice));
  EXPECT_EQ(owner_set::count(set), 1U);
}

TEST(OwnerSet, ForgetsOnlyDeadWorkers) {
  std::uint64_t set = 0;
  for (const auto owner : {kAlice, kBob, kAlice}) set = owner_set::add(set, owner, 4).value();
  set = owner_set::without(set, [](owner_set::PackedOwner owner) { return owner_set::slot_of(owner) == 0; });
  EXPECT_EQ(owner_set::count(set), 1U);
  EXPECT_TRUE(owner_set::remove(set, kBob));
  EXPECT_EQ(owner_set::generation_of(kBob), 0xfU) << "the low bits of the generation";
}

TEST(OwnerSet, UnderALoweredLimitOnlyTheFirstPermitsAreUsableWhileMoreAreTaken) {
  const auto usable = [](std::vector<std::uint32_t> counts, std::uint32_t limit) {
    return owner_set::usable(counts, limit);
  };
  EXPECT_EQ(usable({0, 0}, 8), 8U);
  EXPECT_EQ(usable({4, 4}, 8), 8U);
  EXPECT_EQ(usable({2, 0}, 3), 3U) << "permits within the limit do not reduce the number";
  EXPECT_EQ(usable({0, 3}, 5), 2U) << "three lie beyond the second";
  EXPECT_EQ(usable({1, 4}, 2), 0U);
  EXPECT_EQ(usable({0, 1}, 2), 1U);
  EXPECT_EQ(usable({4, 0, 2}, 6), 4U);
  // The usable permits and those that are taken beyond them are never more than the limit.
  std::mt19937 random(7);
  const auto up_to = [&](std::uint32_t most) { return static_cast<std::uint32_t>(random() % (most + 1)); };
  for (int step = 0; step < 10'000; ++step) {
    const std::vector<std::uint32_t> counts{up_to(4), up_to(4), up_to(4)};
    const std::uint32_t limit = up_to(12);
    std::uint32_t most = 0;
    std::uint32_t held = 0;
    for (std::uint32_t i = 0; i < counts.size(); ++i) {
      most += std::max(counts[i], owner_set::permits_in(i, usable(counts, limit)));
      held += counts[i];
    }
    ASSERT_EQ(most, std::max(held, limit));
  }
}

TEST(OwnerSet, IsABag) {
  std::mt19937 random(5);
  std::uint64_t set = 0;
  std::vector<owner_set::PackedOwner> model;
  for (int step = 0; step < 10'000; ++step) {
    const auto owner = owner_set::pack(Owner(static_cast<std::uint32_t>(random() % 3), 0));
    const auto found = std::find(model.begin(), model.end(), owner);
    if (random() % 2 == 0) {
      const auto next = owner_set::add(set, owner, 4);
      ASSERT_EQ(next.has_value(), model.size() < 4);
      if (next) set = *next, model.push_back(owner);
    } else {
      const auto next = owner_set::remove(set, owner);
      ASSERT_EQ(next.has_value(), found != model.end());
      if (next) set = *next, model.erase(found);
    }
    ASSERT_EQ(owner_set::count(set), model.size());
  }
}

}  // namespace
}  // namespace weir::detail
