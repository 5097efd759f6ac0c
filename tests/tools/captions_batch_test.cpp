// SPDX-License-Identifier: Apache-2.0

// Batches of captions: worked off by threads of a worker, answered at once or fetched later, from any worker.

#include <csignal>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <thread>
#include <utility>
#include <vector>

#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

#include "captions_server.hpp"

namespace weir::test {
namespace {

/// One batch at a time, over all users; others wait for it. So a test that holds the permit decides when a batch goes on.
constexpr std::string_view kOneAtATime = R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "1000000/s"
[operations.batch_processing]
concurrent = 1
queue = 100
timeout = "1h"
)";

/// Holds the only permit for batches, until it is released.
Admission hold_batches(const Server& server) {
  auto limiter = Limiter::attach(server.segment());
  if (!limiter) throw std::runtime_error(limiter.error().message());
  static std::unique_ptr<Limiter> kept;
  kept = std::make_unique<Limiter>(*std::move(limiter));
  Admission held = kept->admit("batch_processing");
  EXPECT_TRUE(held);
  return held;
}

std::string async_request(int size, const std::string& key, const std::string& prefer = "respond-async",
                          const std::string& query = "") {
  const std::string body = batch_of(size);
  return fmt::format(
      "POST {}{} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nPrefer: {}\r\nContent-Length: "
      "{}\r\n\r\n{}",
      kBatch, query, key, prefer, body.size(), body);
}

Answer post_async(const Server& server, int size, const std::string& key = "demo-key-alice",
                  const std::string& prefer = "respond-async", const std::string& query = "") {
  Connection connection(server.port());
  connection.send(async_request(size, key, prefer, query));
  return connection.receive();
}

std::string status_of(const Server& server, const std::string& location) {
  return get(server, location).body.value("status", "none");
}

std::size_t waiting(const Server& server) {
  const auto snapshot = take_snapshot(server.segment());
  return snapshot ? snapshot->waiters.size() : 0;
}

TEST(CaptionsBatch, IsAnsweredAtOnceWhenAskedToAndFetchedFromAnyWorker) {
  const Server server(kOneAtATime, {"--workers", "3"});
  Admission held = hold_batches(server);
  const Answer begun = post_async(server, 2);
  ASSERT_EQ(begun.status, 202u) << begun.body;
  EXPECT_EQ(begun.body["status"], "processing");
  EXPECT_EQ(begun.field("Preference-Applied"), "respond-async");
  const std::string location = begun.field("Location");
  EXPECT_EQ(location, kBatch + "/" + begun.body["request_id"].get<std::string>());

  std::set<pid_t> workers;
  const auto seen_by_all = [&](std::string_view status) {
    workers.clear();
    return eventually([&] {
      const Answer answer = get(server, location);
      if (answer.body.value("status", "") != status) return false;
      EXPECT_EQ(answer.status, 200u);
      EXPECT_EQ(answer.body["request_id"], begun.body["request_id"]);
      EXPECT_EQ(answer.body.contains("captions"), status == "completed");
      workers.insert(answer.worker());
      return workers.size() == 3;
    });
  };
  EXPECT_TRUE(seen_by_all("processing"));
  held.release();
  EXPECT_TRUE(seen_by_all("completed"));
  EXPECT_EQ(get(server, location).body["captions"], post(server, kBatch, batch_of(2)).body["captions"]);
}

TEST(CaptionsBatch, WaitsOnlyIfTheClientDoesNotPreferOtherwise) {
  const Server server(kGenerous);
  for (const std::string prefer :
       {"respond-async", "wait=10, Respond-Async", "respond-async;x=y", "a,, respond-async ,b"}) {
    EXPECT_EQ(post_async(server, 1, "demo-key-alice", prefer).status, 202u) << prefer;
  }
  for (const std::string prefer :
       {"", "wait=10", "respond-asynchronously", "x=\"1\";respond-async", "respond"}) {
    const Answer answer = post_async(server, 1, "demo-key-alice", prefer);
    EXPECT_EQ(answer.status, 200u) << prefer;
    EXPECT_EQ(answer.body["captions"].size(), 1u);
    EXPECT_EQ(answer.field("Preference-Applied"), "");
  }
}

TEST(CaptionsBatch, LetsItsWorkerServeOthersWhileItWaits) {
  const Server server(kOneAtATime, {"--workers", "1"});
  Admission held = hold_batches(server);
  Connection client(server.port());
  const std::string body = batch_of(3);
  client.send(fmt::format(
      "POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer demo-key-bob\r\nContent-Length: {}\r\n\r\n{}",
      kBatch, body.size(), body));
  ASSERT_TRUE(eventually([&] { return waiting(server) == 1; }));
  EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
  held.release();
  EXPECT_EQ(client.receive().body["captions"].size(), 3u);
}

TEST(CaptionsBatch, IsThereOnlyForTheCallerThatMadeIt) {
  const Server server(kGenerous, {"--anonymous"});
  const Answer begun = post_async(server, 1);
  ASSERT_EQ(begun.status, 202u);
  const std::string location = begun.field("Location");
  EXPECT_TRUE(eventually([&] { return status_of(server, location) == "completed"; }));
  EXPECT_EQ(get(server, location, "demo-key-bob").status, 404u);
  EXPECT_EQ(get(server, location, "demo-key-admin").status, 404u);
  EXPECT_EQ(get(server, location, "").status, 404u);
  EXPECT_EQ(get(server, location, "no-such-key").status, 401u);
  EXPECT_EQ(post(server, location, "").status, 405u);
  EXPECT_EQ(status_of(server, location), "completed") << "it is not fetched only once";

  const std::string id = begun.body["request_id"];
  std::string other = id;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const std::string& wrong : {other, id + "0", id.substr(1), "ffff" + id.substr(4), std::string("x"),
                                   std::string("-") + id.substr(1), std::string(5000, '0')}) {
    EXPECT_EQ(get(server, kBatch + "/" + wrong).status, 404u) << wrong;
  }
  EXPECT_EQ(get(server, kBatch + "/").status, 404u);
}

TEST(CaptionsBatch, SaysInItsResultWhichLimitRefusedIt) {
  const Server server(kStrict);
  EXPECT_EQ(post(server, kBatch, batch_of(5)).status, 200u);
  const Answer begun = post_async(server, 1);
  if (begun.status == 202u) {
    ASSERT_TRUE(eventually([&] { return status_of(server, begun.field("Location")) == "failed"; }));
    const Json result = get(server, begun.field("Location")).body;
    EXPECT_EQ(result["error"], "rate_limit_exceeded");
    EXPECT_EQ(result["limit"].get<std::string>().rfind("operations.batch_processing.user.rate", 0), 0u);
    EXPECT_GT(result["retry_after"], 0);
  } else {
    EXPECT_EQ(begun.status, 429u) << "the pool was faster than the answer";
  }
}

TEST(CaptionsBatch, TellsOfAModelThatFailed) {
  const Server server(kGenerous);
  EXPECT_EQ(post(server, kBatch + "?fail=1", batch_of(1)).status, 200u) << "alice is not an administrator";
  const Answer failed = post(server, kBatch + "?fail=1", batch_of(1), "demo-key-admin");
  EXPECT_EQ(failed.status, 502u);
  EXPECT_EQ(failed.body["error"], "model_failed");
  const Answer begun = post_async(server, 1, "demo-key-admin", "respond-async", "?slow=1&fail=1");
  ASSERT_EQ(begun.status, 202u);
  Json result;
  EXPECT_TRUE(eventually([&] {
    result = get(server, begun.field("Location"), "demo-key-admin").body;
    return result.value("status", "") != "processing";
  }));
  EXPECT_EQ(result["status"], "failed");
  EXPECT_EQ(result["error"], "model_failed");
}

TEST(CaptionsBatch, IsRefusedAtOnceWhenTheQueueOfItsWorkerIsFull) {
  const Server server(kOneAtATime, {"--workers", "1", "--batch-threads", "1", "--batch-queue", "1"});
  Admission held = hold_batches(server);
  std::vector<std::string> locations;
  for (int i = 0; i < 2; ++i) {
    const Answer begun = post_async(server, 1);
    ASSERT_EQ(begun.status, 202u) << begun.body;
    locations.push_back(begun.field("Location"));
  }
  for (const Answer& refused : {post_async(server, 1), post(server, kBatch, batch_of(1))}) {
    EXPECT_EQ(refused.status, 503u);
    EXPECT_EQ(refused.field("Retry-After"), "1");
    EXPECT_EQ(refused.body["error"], "service_unavailable");
    EXPECT_NE(refused.body["message"].get<std::string>().find("a full queue"), std::string::npos);
  }
  held.release();
  for (const std::string& location : locations) {
    EXPECT_TRUE(eventually([&] { return status_of(server, location) == "completed"; }));
  }
}

TEST(CaptionsBatch, IsAnsweredInTheSameResponseWhereItsUserHasAQuarterOfTheResults) {
  const Server server(kGenerous, {"--batch-results", "8"});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(post_async(server, 1).status, 202u);
  const Answer third = post_async(server, 1);
  EXPECT_EQ(third.status, 200u);
  EXPECT_EQ(third.body["captions"].size(), 1u);
  EXPECT_EQ(post_async(server, 1, "demo-key-bob").status, 202u);
}

TEST(CaptionsBatch, KeepsAResultForItsTimeAndThenGivesTheRoomToAnother) {
  const Server server(kGenerous, {"--batch-results", "1", "--batch-kept", "1"});
  const Answer first = post_async(server, 1);
  ASSERT_EQ(first.status, 202u);
  EXPECT_TRUE(eventually([&] { return get(server, first.field("Location")).status == 404; }));
  const Answer second = post_async(server, 2, "demo-key-bob");
  ASSERT_EQ(second.status, 202u);
  EXPECT_NE(second.field("Location"), first.field("Location"));
  EXPECT_EQ(get(server, first.field("Location")).status, 404u);
}

TEST(CaptionsBatch, HasFailedWhenItsWorkerIsKilled) {
  const Server server(kOneAtATime, {"--workers", "2"});
  const Admission held = hold_batches(server);
  const Answer begun = post_async(server, 1);
  ASSERT_EQ(begun.status, 202u);
  EXPECT_EQ(status_of(server, begun.field("Location")), "processing");
  ::kill(begun.worker(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return status_of(server, begun.field("Location")) == "failed"; }));
  EXPECT_EQ(get(server, begun.field("Location")).body["error"], "batch_lost");
}

TEST(CaptionsBatch, IsWorkedOffByAWorkerThatStops) {
  const Server server(kGenerous, {"--workers", "2"});
  const Answer begun = post_async(server, 2, "demo-key-admin", "respond-async", "?slow=1");
  ASSERT_EQ(begun.status, 202u);
  ::kill(begun.worker(), SIGTERM);
  Json result;
  EXPECT_TRUE(eventually([&] {
    result = get(server, begun.field("Location"), "demo-key-admin").body;
    return result.value("status", "") != "processing";
  }));
  EXPECT_EQ(result["captions"].size(), 2u) << result;
}

TEST(CaptionsBatch, IsAnsweredByAWorkerThatStops) {
  Server server(kOneAtATime, {"--workers", "1"});
  Connection client(server.port());
  ASSERT_EQ(client.ask("POST", kGenerate, kWish, "demo-key-bob").status, 200u);
  Admission held = hold_batches(server);
  const std::string body = batch_of(3);
  client.send(fmt::format(
      "POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer demo-key-bob\r\nContent-Length: {}\r\n\r\n{}",
      kBatch, body.size(), body));
  ASSERT_TRUE(eventually([&] { return waiting(server) == 1; }));
  server.signal(SIGTERM);
  held.release();
  const Answer answer = client.receive();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.body["captions"].size(), 3u);
  EXPECT_EQ(server.wait(), 0);
}

TEST(CaptionsBatch, OfMoreBytesThanAResultHasRoomForIsAnsweredInTheSameResponse) {
  const Server server(kGenerous);
  std::string body = batch_of(1);
  body.insert(body.find("picture"), std::string(300'000, 'x'));
  Connection connection(server.port());
  connection.send(
      fmt::format("POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer demo-key-alice\r\n"
                  "Prefer: respond-async\r\nContent-Length: {}\r\n\r\n{}",
                  kBatch, body.size(), body));
  EXPECT_EQ(connection.receive().status, 200u);
}

}  // namespace
}  // namespace weir::test
