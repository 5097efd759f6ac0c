// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <sys/types.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "weir/clock.hpp"
#include "weir/limiter.hpp"

#include "captions_server.hpp"

namespace weir::test {
namespace {

TEST(CaptionsWorkers, AdmitsAUserNoMoreThanTheBurstOverAllWorkers) {
  const Server server(kStrict, {"--workers", "4"});
  std::set<pid_t> workers;
  int asked = 0;
  int admitted = 0;
  ASSERT_TRUE(eventually([&] {
    const Answer answer = post(server, kGenerate, kWish);
    EXPECT_TRUE(answer.status == 200 || answer.status == 429) << answer.status;
    admitted += answer.status == 200;
    workers.insert(answer.worker());
    return ++asked >= 40 && workers.size() >= 3;
  }));
  EXPECT_EQ(admitted, 3) << "of " << asked;
  EXPECT_EQ(post(server, kGenerate, kWish, "demo-key-bob").status, 200u) << "another user pays as well";
}

TEST(CaptionsWorkers, NamesTheLimitThatRefused) {
  const Server server(kStrict);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  const Answer refused = post(server, kPriority, R"({"content_description": "x", "priority_level": 5})");
  EXPECT_EQ(refused.status, 429u);
  EXPECT_EQ(refused.body["error"], "rate_limit_exceeded");
  EXPECT_EQ(refused.body["limit"].get<std::string>().rfind("operations.caption_generation.user.rate", 0), 0u);
  EXPECT_EQ(refused.field("Retry-After"), refused.body["retry_after"].dump());
  EXPECT_GT(refused.body["retry_after"], 1000);
  EXPECT_LE(refused.body["retry_after"], 1200);
}

TEST(CaptionsWorkers, RefuseForNowWhileAnotherProcessHoldsTheOnlyPermit) {
  const Server server(R"(
[segment]
users = 1000
[operations.caption_generation]
concurrent = 1
[operations.batch_processing]
rate = "1/s"
)");
  auto limiter = Limiter::attach(server.segment());
  ASSERT_TRUE(limiter) << limiter.error().message();
  Admission held = limiter->admit("caption_generation");
  ASSERT_TRUE(held);
  const Answer refused = post(server, kGenerate, kWish);
  EXPECT_EQ(refused.status, 503u);
  EXPECT_EQ(refused.field("Retry-After"), "1");
  EXPECT_EQ(refused.body["error"], "service_unavailable");
  EXPECT_EQ(refused.body["limit"], "operations.caption_generation.concurrent");
  held.release();
  EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
}

TEST(CaptionsWorkers, AsksToRetryAfterTheWholeSecondsThatAreLeftRoundedUp) {
  const Server server(R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "1/2s burst 1"
[operations.batch_processing]
rate = "1/s"
)");
  const auto before = HostClock::now();
  ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  const auto after = HostClock::now();

  const auto asked = HostClock::now();
  const Answer refused = post(server, kGenerate, kWish);
  const auto answered = HostClock::now();
  ASSERT_EQ(refused.status, 429u);
  const auto said = std::chrono::seconds(std::stol(refused.field("Retry-After")));
  EXPECT_GE(said, std::chrono::ceil<std::chrono::seconds>(before + 2s - answered));
  EXPECT_LE(said, std::chrono::ceil<std::chrono::seconds>(after + 2s - asked));

  // The last refusal was asked before the token came back, the admission answered after it.
  EXPECT_TRUE(eventually([&] { return post(server, kGenerate, kWish).status == 200; }));
  EXPECT_GE(HostClock::now() - before, 2s);
}

TEST(CaptionsWorkers, AdmitsWhoWaitedAsLongAsItWasTold) {
  const Server server(R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "10/s burst 1"
[operations.batch_processing]
rate = "1/s"
)");
  Answer refused;
  ASSERT_TRUE(eventually([&] { return (refused = post(server, kGenerate, kWish)).status == 429; }));
  EXPECT_EQ(refused.field("Retry-After"), "1");  // never 0, which would mean at once
  std::this_thread::sleep_for(std::chrono::seconds(refused.body["retry_after"].get<int>()));
  EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
}

TEST(CaptionsWorkers, OpenTheBreakerForAllWhenTheModelFailedAndCloseItAfterAGoodProbe) {
  const Server server(R"(
[segment]
users = 1000
[operations.caption_generation]
breaker = { failures = 3, recovery = "1s" }
[operations.batch_processing]
rate = "1/s"
)",
                      {"--workers", "2"});
  EXPECT_EQ(post(server, kGenerate + "?fail=1", kWish).status, 200u) << "alice is not an administrator";
  for (int i = 0; i < 3; ++i) {
    const Answer failed = post(server, kGenerate + "?x=y&fail=1", kWish, "demo-key-admin");
    EXPECT_EQ(failed.status, 502u);
    EXPECT_EQ(failed.body["error"], "model_failed");
  }
  const Answer refused = post(server, kGenerate, kWish);
  EXPECT_EQ(refused.status, 503u);
  EXPECT_EQ(refused.field("Retry-After"), "1");
  EXPECT_EQ(refused.body["limit"], "operations.caption_generation.breaker");
  const auto until_it_probes = [&](const std::string& path) {
    Answer answer = post(server, path, kWish, "demo-key-admin");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (answer.status == 503u && std::chrono::steady_clock::now() < deadline)
      answer = post(server, path, kWish, "demo-key-admin");
    return answer.status;
  };
  EXPECT_EQ(until_it_probes(kGenerate + "?fail=1"), 502u) << "a bad probe";
  EXPECT_EQ(post(server, kGenerate, kWish).status, 503u);
  EXPECT_EQ(until_it_probes(kGenerate), 200u) << "a good one";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(post(server, kGenerate, kWish).status, 200u) << "closed by it";
}

TEST(CaptionsWorkers, GoesOnWithTheSameLimitsWhenAWorkerIsKilled) {
  const Server server(kStrict, {"--workers", "2"});
  Connection held(server.port());
  const Answer first = held.ask("POST", kGenerate, kWish, "demo-key-alice");
  ASSERT_EQ(first.status, 200u);
  std::set<pid_t> before = {first.worker()};
  ASSERT_TRUE(eventually([&] {
    before.insert(get(server, kStatus).worker());
    return before.size() == 2;
  }));

  ::kill(first.worker(), SIGKILL);
  EXPECT_EQ(held.receive().status, 0u);  // its connections are gone, so it accepts no more
  pid_t successor = 0;
  EXPECT_TRUE(eventually([&] {
    const Answer answer = get(server, kStatus);
    EXPECT_EQ(answer.status, 200u);
    successor = answer.worker();
    return before.count(successor) == 0;
  }));
  EXPECT_NE(server.log().find(
                fmt::format("worker {} was killed by signal 9; restarted as {}", first.worker(), successor)),
            std::string::npos)
      << server.log();

  for (int i = 0; i < 2; ++i) EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(post(server, kGenerate, kWish).status, 429u);
}

TEST(CaptionsWorkers, RestartsItsOnlyWorkerAsOftenAsItDies) {
  const Server server(kGenerous, {"--workers", "1"});
  std::set<pid_t> workers;
  for (int i = 0; i < 4; ++i) {
    Connection connection(server.port());  // waits in the queue of the socket while there is no worker
    const Answer answer = connection.ask("POST", kGenerate, kWish, "demo-key-alice");
    ASSERT_EQ(answer.status, 200u);
    EXPECT_TRUE(workers.insert(answer.worker()).second);
    ::kill(answer.worker(), SIGKILL);
    EXPECT_EQ(connection.receive().status, 0u);
  }
}

TEST(CaptionsWorkers, LeaveCtrlCToTheirParent) {
  const Server server(kGenerous, {"--workers", "1"});
  Connection connection(server.port());
  const pid_t worker = connection.ask("POST", kGenerate, kWish, "demo-key-alice").worker();
  ::kill(worker, SIGINT);
  const Answer answer = connection.ask("POST", kGenerate, kWish, "demo-key-alice");
  ASSERT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.worker(), worker);
}

TEST(CaptionsWorkers, StopsWithAllItsWorkersOnASignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Server server(kGenerous, {"--workers", "3"});
    std::set<pid_t> workers;
    ASSERT_TRUE(eventually([&] {
      workers.insert(get(server, kStatus).worker());
      return workers.size() == 3;
    }));
    EXPECT_EQ(server.stop(signal), 0);
    for (const pid_t worker : workers) EXPECT_EQ(::kill(worker, 0), -1) << worker;
    // The kernel may give the port to the server of another test, for a while.
    EXPECT_TRUE(eventually([&] { return refuses_connections(server.port()); }));
    EXPECT_EQ(server.log(), "");
  }
}

TEST(CaptionsWorkers, LeavesNoWorkerBehindWhenItIsKilled) {
  Server server(kGenerous, {"--workers", "3"});
  ASSERT_EQ(get(server, kStatus).status, 200u);
  EXPECT_EQ(server.stop(SIGKILL), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return refuses_connections(server.port()); }));
}

TEST(CaptionsWorkers, SaysWhyItDoesNotStart) {
  const std::string segment = fmt::format("captions-test-{}-never", ::getpid());
  const auto start = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {kServer, "--port", "0", "--segment", segment});
    return run(arguments);
  };
  const auto expect = [](const Ran& ran, int status, const std::string& part) {
    EXPECT_EQ(ran.status, status) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out, "");
  };
  const MemoryFile keys("k-1 zoe\nsecret-without-user\n");
  const MemoryFile config("[segment]\nusers = 1000\n[operations.other]\nrate = \"1/s\"\n");

  expect(start({"--config", "no-such-file.toml"}), 1, "no-such-file.toml");
  expect(start({"--config", path_of(config)}), 1, "caption_generation");
  const Ran bad_key = start({"--keys", path_of(keys)});
  expect(bad_key, 1, "line 2: no user after the key");
  EXPECT_EQ(bad_key.err.find("secret"), std::string::npos);
  expect(start({"--workers", "0"}), 2, "--workers");
  expect(start({"--address", "nowhere"}), 1, "nowhere");
  EXPECT_FALSE(remove_segment(segment)) << "made before it was needed";
}

}  // namespace
}  // namespace weir::test
