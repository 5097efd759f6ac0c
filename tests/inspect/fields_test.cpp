// SPDX-License-Identifier: Apache-2.0

// What the lists of fields promise to the code that walks them.

#include "weir/fields.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <type_traits>

namespace weir {
namespace {

using nlohmann::json;

/// Calls visit(list) for every list of fields there is.
template <class Visit>
void for_each_list(Visit&& visit) {
  visit(kSegmentFields);
  for_each_part(visit);
  visit(kCountingLimits);
  visit(kUserFields);
  visit(kSegmentEntryFields);
  visit(kHistoryFields);
  visit(kEventFields);
  visit(kChangeFields);
  visit(kValueFields);
  visit(kResetFields);
}

TEST(Fields, EachIsDescribedOnce) {
  for_each_list([](const auto& list) {
    std::set<std::string_view> keys;
    for (const auto& field : list.fields) {
      SCOPED_TRACE(std::string(list.key) + "." + std::string(field.key));
      EXPECT_TRUE(keys.insert(field.key).second) << "twice";
      EXPECT_TRUE(field.help.ends_with('.')) << "a sentence";
      EXPECT_TRUE(field.more.empty() || field.more.ends_with('.')) << "a sentence";
      EXPECT_NE(field.get, nullptr);
      EXPECT_EQ(field.key.ends_with("_s"), field.unit == Unit::seconds);
      EXPECT_TRUE(field.kind != FieldKind::counter || field.unit != Unit::none)
          << "a counter counts something";
    }
    EXPECT_TRUE(list.help.ends_with('.'));
  });
}

TEST(Fields, OfTwoListsWithOneKeyInASnapshotOneWouldBeLost) {
  std::set<std::string_view> keys;
  for (const auto& field : kSegmentFields.fields) keys.insert(field.key);
  for_each_part([&](const auto& part) { EXPECT_TRUE(keys.insert(part.key).second) << part.key; });
}

/// Whether a T can be made of that many values, which tells how many members an aggregate has.
struct Any {
  template <class T>
  operator T() const;
};
template <class T, class... Values>
constexpr std::size_t members() {
  if constexpr (requires { T{Values{}..., Any{}}; }) {
    return members<T, Values..., Any>();
  } else {
    return sizeof...(Values);
  }
}

// A member without a description would not be shown anywhere.
TEST(Fields, EveryMemberOfARowIsDescribed) {
  EXPECT_EQ(kWorkers.fields.size(), members<WorkerStatus>());
  EXPECT_EQ(kSwept.fields.size(), members<SweepStatus>());
  EXPECT_EQ(kUserTable.fields.size(), members<UserTableStatus>());
  EXPECT_EQ(kDifference.fields.size(), members<DifferenceStatus>());
  EXPECT_EQ(kUserFields.fields.size(), members<UserEntry>());
  EXPECT_EQ(kSegmentEntryFields.fields.size(), members<SegmentEntry>());
  EXPECT_EQ(kChangeFields.fields.size(), members<ConfigChange>());
  EXPECT_EQ(kHistoryFields.fields.size(), members<ChangeEntry>() - 1 + members<ConfigChange>());
  EXPECT_EQ(kEventFields.fields.size(), members<EventEntry>() + 1) << "and its text";
  EXPECT_EQ(kValueFields.fields.size(), members<ConfigValue>());
  EXPECT_EQ(kResetFields.fields.size(), members<ResetReport>());
  EXPECT_EQ(kBreakers.fields.size(), members<BreakerStatus>() - 1) << "its configuration is not a value";
}

Snapshot two_limits() {
  Snapshot snapshot;
  snapshot.segment = "captions";
  snapshot.operations.emplace_back().name = "upload";
  LimitStatus window;
  window.name = "operations.upload.window";
  window.rule = Window{10, std::chrono::minutes(1), WindowKind::log};
  window.capacity = 10;
  window.used = 4;
  window.resets_in = std::chrono::milliseconds(1500);
  LimitStatus of_users = window;
  of_users.name = "operations.upload.user.window";
  of_users.per_user = true;
  of_users.used = 0;
  of_users.users = 7;
  of_users.exhausted = 2;
  snapshot.limits = {window, of_users};
  return snapshot;
}

TEST(Fields, ALimitIsInTheListOfItsKindAlone) {
  const Snapshot snapshot = two_limits();
  EXPECT_EQ(kWindows.rows(snapshot).size(), 2U);
  EXPECT_TRUE(kSharedLimits.rows(snapshot).empty());
  EXPECT_TRUE(kUserLimits.rows(snapshot).empty());
  EXPECT_TRUE(kSharedPermits.rows(snapshot).empty());
  EXPECT_TRUE(kUserPermits.rows(snapshot).empty());
  EXPECT_TRUE(kCooldowns.rows(snapshot).empty());
  EXPECT_TRUE(kCountingLimits.rows(snapshot).empty());
}

TEST(Fields, AKeyThatSaysNothingAboutARowIsLeftOut) {
  const json all = as_json<json>(two_limits());
  EXPECT_EQ(all.at("segment"), "captions");
  EXPECT_EQ(all.at("operations").at(0).at("name"), "upload");
  EXPECT_EQ(all.at("operations").at(0).at("last_request"), nullptr);
  EXPECT_EQ(all.at("difference"), nullptr);
  EXPECT_EQ(all.at("user_table").at("when_full"), "evict");
  const json& shared = all.at("windows").at(0);
  EXPECT_EQ(shared.at("window"), "10 per 1min");
  EXPECT_EQ(shared.at("available"), 6);
  EXPECT_EQ(shared.at("full_in_s"), 1.5);
  EXPECT_FALSE(shared.contains("active"));
  const json& of_users = all.at("windows").at(1);
  EXPECT_EQ(of_users.at("active"), 7);
  EXPECT_EQ(of_users.at("exhausted"), 2);
  EXPECT_FALSE(of_users.contains("available"));
}

// Programs read these keys, so they must stay.
TEST(Fields, KeepsTheKeysOfTheLists) {
  const auto keys_of = [](const auto& list) {
    std::string keys;
    for (const auto& field : list.fields) keys += std::string(field.key) + " ";
    return keys;
  };
  EXPECT_EQ(keys_of(kSharedLimits),
            "name rate count period_s burst mode available full_in_s leased refused would_refuse ");
  EXPECT_EQ(keys_of(kUserLimits),
            "name rate count period_s burst mode active exhausted refused would_refuse ");
  EXPECT_EQ(keys_of(kSharedPermits), "name limit in_use mode refused would_refuse ");
  EXPECT_EQ(keys_of(kUserPermits), "name limit users in_use mode refused would_refuse ");
  EXPECT_EQ(keys_of(kWindows),
            "name window kind limit length_s mode per_user refused would_refuse available full_in_s active "
            "exhausted ");
  EXPECT_EQ(keys_of(kCooldowns),
            "name length_s refusals mode per_user blocked_for_s blocked_users refused would_refuse ");
  EXPECT_EQ(keys_of(kBreakers),
            "operation state failures_in_a_row calls failures slow probes_out trips next_probe_s ");
  EXPECT_EQ(keys_of(kSwept), "workers permits late_releases ");
  EXPECT_EQ(keys_of(kWorkers), "slot pid name dead since_s permits oldest_s waiting ");
  EXPECT_EQ(keys_of(kQueues), "name waiting seats by_priority oldest_s ");
  EXPECT_EQ(keys_of(kWaiters), "queue operation priority pid waited_s lacks absent ");
}

}  // namespace
}  // namespace weir
