// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <signal.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/report.hpp"

#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::SegmentName;

Config captions(const std::string& name) {
  Config config = *parse_config(R"(
[operations.caption]
rate = "1/day burst 10"
[operations.caption.user]
rate = "1/day burst 3"
)",
                                "test");
  config.segment.name = name;
  return config;
}

TEST(Snapshot, ShowsWhatIsLeftOfEveryLimit) {
  const SegmentName name;
  auto limiter = Limiter::open(captions(name.str()));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter->admit("caption", {.user = "alice"}));
  EXPECT_TRUE(limiter->admit("caption", {.user = "bob"}));
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  ASSERT_EQ(snapshot->limits.size(), 2U);
  const LimitStatus& shared = snapshot->limits[0];
  EXPECT_EQ(shared.name, "operations.caption.rate");
  EXPECT_EQ(shared.operation, "caption");
  EXPECT_FALSE(shared.per_user);
  EXPECT_EQ(shared.capacity, 10U);
  EXPECT_EQ(shared.used, 4U);
  EXPECT_GT(shared.resets_in, 4 * 24h - 1h);
  const LimitStatus& user = snapshot->limits[1];
  EXPECT_TRUE(user.per_user);
  EXPECT_EQ(user.users, 2U);
  EXPECT_EQ(user.exhausted, 1U);
  EXPECT_EQ(snapshot->table.occupied, 2U);
  EXPECT_EQ(snapshot->segment, name.str());
  EXPECT_EQ(snapshot->config.operations, limiter->config().operations);
}

TEST(Snapshot, ShowsWhoWaitsForWhat) {
  const SegmentName name;
  Config config = *parse_config("[operations.caption]\nconcurrent = 1\nqueue = 5\n", "test");
  config.segment.name = name.str();
  auto limiter = Limiter::open(config);
  const Operation caption = *limiter->operation("caption");
  const Admission held = limiter->admit(caption);
  Ticket urgent = limiter->enqueue(caption, {.priority = 5, .wait = kAsConfigured});
  Ticket usual = limiter->enqueue(caption, {.wait = kAsConfigured});
  EXPECT_FALSE(urgent.poll());
  EXPECT_FALSE(usual.poll());
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  ASSERT_EQ(snapshot->queues.size(), 1U);
  EXPECT_EQ(snapshot->queues[0].name, "operations.caption.queue");
  EXPECT_EQ(snapshot->queues[0].queue.seats, 5U);
  EXPECT_EQ(snapshot->queues[0].waiting, 2U);
  EXPECT_EQ(snapshot->queues[0].by_priority, "5: 1, 3: 1");
  EXPECT_GT(snapshot->queues[0].oldest, 0ns);
  ASSERT_EQ(snapshot->waiters.size(), 2U);
  EXPECT_EQ(snapshot->waiters[0].operation, "caption");
  EXPECT_EQ(snapshot->waiters[0].priority, 5U);
  EXPECT_EQ(snapshot->waiters[0].pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(snapshot->waiters[0].lacks, "permits");
  ASSERT_EQ(snapshot->workers.size(), 1U);
  EXPECT_EQ(snapshot->workers[0].waiting, 2U);
}

TEST(Snapshot, ShowsForWhichUserARequestWaits) {
  const SegmentName name;
  Config config = *parse_config(
      "[global.user]\nconcurrent = 3\n[operations.a]\nconcurrent = 9\nqueue = 5\nuser = {concurrent = 1, "
      "rate = '9/s'}\n"
      "[operations.b]\nconcurrent = 9\nqueue = 5\nuser.concurrent = 1\n",
      "test");
  config.segment.name = name.str();
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const Operation a = *limiter->operation("a");
  const Admission held = limiter->admit(a, {.user = "alice"});
  const Admission other = limiter->admit(a, {.user = "bob"});
  ASSERT_TRUE(held && other);
  std::vector<Ticket> tickets;
  for (int i = 0; i < 2; ++i) {
    tickets.push_back(limiter->enqueue(a, {.user = "alice", .wait = kAsConfigured}));
    EXPECT_FALSE(tickets.back().poll());
  }
  const auto waiting = [&](const auto& entries) {
    std::map<std::string, std::uint32_t> by_limit;
    for (const UserEntry& entry : *entries) by_limit[entry.limit] += entry.waiting;
    return by_limit;
  };
  const auto alice = waiting(look_up_user(name.str(), "alice"));
  EXPECT_EQ(alice.at("operations.a.user.concurrent"), 2U);
  EXPECT_EQ(alice.at("operations.a.user.rate"), 0U) << "they do not lack that";
  EXPECT_EQ(alice.at("operations.b.user.concurrent"), 0U) << "of another operation";
  EXPECT_EQ(alice.at("global.user.concurrent"), 0U);
  EXPECT_EQ(waiting(look_up_user(name.str(), "bob")).at("operations.a.user.concurrent"), 0U);
  // The names are not remembered, so this finds the user by the hash in the table.
  EXPECT_EQ(waiting(list_users(name.str(), {})).at("operations.a.user.concurrent"), 2U);
}

TEST(Snapshot, ShowsForWhichUserARequestWaitsThatLacksAPermitOverAllOperations) {
  const SegmentName name;
  Config config = *parse_config(
      "[global.user]\nconcurrent = 1\n[operations.a]\nqueue = 5\nuser.concurrent = 2\n[operations.b]\nrate = "
      "'9/s'\n",
      "test");
  config.segment.name = name.str();
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  const Admission held = limiter->admit("b", {.user = "alice"});
  Ticket ticket = limiter->enqueue(*limiter->operation("a"), {.user = "alice", .wait = kAsConfigured});
  EXPECT_FALSE(ticket.poll());
  const auto entries = look_up_user(name.str(), "alice");
  ASSERT_TRUE(entries) << entries.error().message();
  for (const UserEntry& entry : *entries)
    EXPECT_EQ(entry.waiting, entry.limit == "global.user.concurrent" ? 1U : 0U) << entry.limit;
}

TEST(Snapshot, WorksWhileEveryWorkerHangs) {
  const SegmentName name;
  ASSERT_TRUE(Limiter::open(captions(name.str())));
  test::WorkerProcess worker([&](int ready) {
    auto limiter = Limiter::attach(name.str());
    (void)limiter->admit("caption");
    test::WorkerProcess::say_ready(ready);
    for (;;) (void)limiter->admit("caption");
  });
  ASSERT_TRUE(worker.ready());
  worker.signal(SIGSTOP);
  EXPECT_TRUE(take_snapshot(name.str()));
}

TEST(Snapshot, TakesNoMemoryForAUserTableThatIsMostlyHoles) {
  const SegmentName name;
  Config config = captions(name.str());
  config.segment.users = 1'000'000;
  config.segment.reserve = false;
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  EXPECT_TRUE(limiter->admit("caption", {.user = "alice"}));
  const auto blocks = [&] {
    struct stat info {};
    EXPECT_EQ(::stat(name.path().c_str(), &info), 0);
    return info.st_blocks;
  };
  const auto before = blocks();
  const auto snapshot = take_snapshot(name.str());
  ASSERT_TRUE(snapshot) << snapshot.error().message();
  EXPECT_EQ(snapshot->table.occupied, 1U);
  const auto users = list_users(name.str(), {});
  ASSERT_TRUE(users) << users.error().message();
  EXPECT_EQ(users->size(), 1U);
  EXPECT_EQ(limiter->reset().users, 1U);
  EXPECT_LT(blocks(), before + 4000) << "two megabytes; the table alone has twenty";
}

TEST(Snapshot, OfNothingSaysSo) {
  const auto snapshot = take_snapshot("no-such-segment-here");
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code, Errc::not_found);
}

// Looking, deciding and resetting end and stay within the segment, whatever its words contain.
TEST(Snapshot, SurvivesEveryDamagedByteBehindThePolicy) {
  const SegmentName name;
  Config config = captions(name.str());
  config.segment.users = 10;
  config.segment.workers = 2;
  auto limiter = Limiter::open(config);
  ASSERT_TRUE(limiter) << limiter.error().message();
  std::fstream file(name.path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  const std::vector<char> before = [&] {
    std::vector<char> bytes(static_cast<std::size_t>(size));
    file.seekg(0);
    file.read(bytes.data(), size);
    return bytes;
  }();
  int refused = 0;
  for (std::streamoff i = 0; i < size; ++i) {
    // The header, every word that is not 0, the words beside those, and a sample of the others.
    const auto at = static_cast<std::size_t>(i);
    const bool beside = before[at] != 0 || before[at - std::min<std::size_t>(at, 8)] != 0;
    if (i >= 4096 && !beside && i % 509 != 0) continue;
    const int byte = static_cast<unsigned char>(before[at]);
    file.seekp(i);
    file.put(static_cast<char>(~byte)).flush();
    const auto snapshot = take_snapshot(name.str());
    refused += snapshot ? 0 : 1;
    if (snapshot) {
      ASSERT_TRUE(to_text(*snapshot)) << i;
      ASSERT_TRUE(to_workers_text(*snapshot)) << i;
      ASSERT_TRUE(to_json(*snapshot)) << i;
      ASSERT_TRUE(to_prometheus(*snapshot)) << i;
    }
    EXPECT_EQ(static_cast<bool>(list_events(name.str(), {})), static_cast<bool>(snapshot)) << at;
    (void)limiter->admit("caption", {.user = "alice"});
    file.seekp(i);
    file.put(static_cast<char>(byte)).flush();
  }
  EXPECT_GT(refused, 700) << "every byte of the header";
  EXPECT_TRUE(take_snapshot(name.str()));
}

}  // namespace
}  // namespace weir
