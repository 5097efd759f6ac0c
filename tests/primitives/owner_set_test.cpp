#include "primitives/owner_set.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace weir::detail {
namespace {

constexpr owner_set::Place kAlice = owner_set::place_of(Owner(0, 3));
constexpr owner_set::Place kBob = owner_set::place_of(Owner(4094, 0x1f));

TEST(OwnerSet, HoldsAsManyAsItsCapacity) {
  for (std::uint32_t capacity = 1; capacity <= owner_set::kPlaces; ++capacity) {
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

TEST(OwnerSet, ForgetsTheDeadOnly) {
  std::uint64_t set = 0;
  for (const auto owner : {kAlice, kBob, kAlice}) set = owner_set::add(set, owner, 4).value();
  set = owner_set::without(set, [](owner_set::Place place) { return owner_set::slot_of(place) == 0; });
  EXPECT_EQ(owner_set::count(set), 1U);
  EXPECT_TRUE(owner_set::remove(set, kBob));
  EXPECT_EQ(owner_set::generation_of(kBob), 0xfU) << "the low bits of the generation";
}

TEST(OwnerSet, IsABag) {
  std::mt19937 random(5);
  std::uint64_t set = 0;
  std::vector<owner_set::Place> model;
  for (int step = 0; step < 10'000; ++step) {
    const auto owner = owner_set::place_of(Owner(static_cast<std::uint32_t>(random() % 3), 0));
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
