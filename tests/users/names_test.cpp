// SPDX-License-Identifier: Apache-2.0
#include "users/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include "users/table.hpp"

namespace weir::detail {
namespace {

using ::testing::Optional;

class Names : public ::testing::Test {
 protected:
  std::uint64_t hash_of(std::string_view name) const { return UserTable::tag_hash(hasher(name)); }
  void remember(std::string_view name) { names.remember(hash_of(name), name); }
  std::optional<RememberedName> find(std::string_view name) const { return names.find(hash_of(name)); }
  static auto whole(std::string text) { return Optional(RememberedName{std::move(text), false}); }

  KeyHasher hasher{{1, 2}};
  std::vector<NameSlot> slots = std::vector<NameSlot>(1024);
  NameTable names{slots};
};

TEST_F(Names, ReportsWhatAUserIsCalled) {
  EXPECT_EQ(find("alice"), std::nullopt);
  remember("alice");
  EXPECT_THAT(find("alice"), whole("alice"));
  EXPECT_EQ(find("bob"), std::nullopt);
}

TEST_F(Names, KeepsAnyBytesAndCutsLongNames) {
  const std::string zeros("a\0b\xff\n", 5);
  const std::string longer(65'536, 'x');
  for (const std::string& name : {std::string(), zeros, std::string(48, 'y'), std::string(49, 'y'), longer}) {
    remember(name);
    EXPECT_THAT(find(name), Optional(RememberedName{name.substr(0, 48), name.size() > 48})) << name.size();
  }
}

TEST_F(Names, TheLastUserOfASlotHasIt) {
  std::vector<NameSlot> one(1);
  NameTable table{one};
  table.remember(hash_of("alice"), "alice");
  table.remember(hash_of("bob"), "bob");
  EXPECT_EQ(table.find(hash_of("alice")), std::nullopt);
  EXPECT_THAT(table.find(hash_of("bob")), whole("bob"));
}

TEST_F(Names, ANameIsFoundFromTheUsersEntry) {
  std::vector<UserBucket> buckets(64);
  UserTableCounters counters;
  UserTable users(buckets, &counters);
  struct Mark {
    std::uint64_t now = 1;
    bool may_evict = false;
    std::optional<std::uint64_t> next(std::uint64_t) const { return 7; }
    static std::uint64_t never_seen(std::uint64_t) { return 0; }
    static std::uint64_t debt(UserLimit, std::uint64_t state) { return state; }
  };
  remember("alice");
  users.update(users.key(hasher("alice")), {16'383, 15}, Mark{});
  int shown = 0;
  UserTable::for_each(buckets, [&](UserLimit limit, std::uint64_t state, std::uint64_t tag_hash) {
    ++shown;
    EXPECT_EQ(limit.id, 16'383);
    EXPECT_EQ(state, 7U);
    EXPECT_THAT(names.find(tag_hash), whole("alice"));
  });
  EXPECT_EQ(shown, 1);
}

TEST_F(Names, WithoutSlotsNothingIsRemembered) {
  NameTable off;
  off.remember(1, "alice");
  EXPECT_EQ(off.find(1), std::nullopt);
}

TEST_F(Names, AsManyNamesAsConfiguredAreAllRemembered) {
  for (const std::uint64_t asked : {1U, 2U, 12U, 13U, 100U, 1000U, 20'000U}) {
    std::vector<NameSlot> enough(NameTable::slots_for(asked));
    NameTable table{enough};
    for (std::uint64_t i = 0; i < asked; ++i) table.remember(hash_of(std::to_string(i)), std::to_string(i));
    std::uint64_t known = 0;
    for (std::uint64_t i = 0; i < asked; ++i) known += table.find(hash_of(std::to_string(i))) ? 1 : 0;
    EXPECT_EQ(known, asked);
  }
}

TEST_F(Names, WithMoreUsersThanSlotsNearlyEverySlotHoldsAName) {
  for (int i = 0; i < 4096; ++i) remember(std::to_string(i));
  int known = 0;
  names.for_each([&](std::uint64_t tag_hash, std::string_view name) {
    ++known;
    EXPECT_EQ(hash_of(name), tag_hash);
  });
  EXPECT_GT(known, 980);
  EXPECT_THAT(find("4095"), whole("4095")) << "the last user who came";
}

TEST_F(Names, RandomBytesAndChangedBitsAreNotBelieved) {
  remember("alice");
  NameSlot& slot = *std::find_if(slots.begin(), slots.end(), [](const NameSlot& s) {
    return s.check.load(std::memory_order_relaxed) != 0;
  });
  auto* bytes = reinterpret_cast<unsigned char*>(&slot);
  for (std::size_t bit = 0; bit < 8 * sizeof(NameSlot); ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
    EXPECT_EQ(find("alice"), std::nullopt) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
  }
  std::mt19937_64 random(4);
  for (NameSlot& other : slots) {
    auto* words = reinterpret_cast<std::uint64_t*>(&other);
    for (std::size_t i = 0; i < sizeof(NameSlot) / 8; ++i) words[i] = random();
  }
  names.for_each([](std::uint64_t, std::string_view name) { ADD_FAILURE() << name; });
}

}  // namespace
}  // namespace weir::detail
