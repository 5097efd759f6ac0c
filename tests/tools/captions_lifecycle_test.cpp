// SPDX-License-Identifier: Apache-2.0

// A captions_server starts, lives and ends in order, whatever happens to its output, its limits and its clients.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <sys/types.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "captions_server.hpp"

namespace weir::test {
namespace {

std::string request_of(const std::string& path, const std::string& body, const std::string& key) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}", path, key,
      body.size(), body);
}

/// The server answers, survives the death of a worker, and answers again.
void expect_to_hold(const Server& server) {
  Answer first;
  ASSERT_TRUE(eventually([&] {
    return !refuses_connections(server.port()) && (first = post(server, kGenerate, kWish)).status == 200;
  }));
  ::kill(first.worker(), SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const Answer next = post(server, kGenerate, kWish);
    return next.status == 200 && next.worker() != first.worker();
  }));
  EXPECT_EQ(::kill(server.pid(), 0), 0);
}

TEST(CaptionsStdio, HoldsWhenItsStandardErrorIsFull) {
  Server server(kGenerous, Start{.more = {"--workers", "1"},
                                 .prepare = [] { ::dup2(::open("/dev/full", O_WRONLY), STDERR_FILENO); }});
  expect_to_hold(server);
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(CaptionsStdio, HoldsWhenTheReaderOfItsTextIsGone) {
  int broken[2];
  ASSERT_EQ(::pipe(broken), 0);
  Server server(kGenerous, Start{.more = {"--workers", "1"},
                                 .prepare =
                                     [&] {
                                       ::dup2(broken[1], STDOUT_FILENO);
                                       ::dup2(broken[1], STDERR_FILENO);
                                       ::close(broken[0]);
                                     },
                                 .port = free_port()});
  ::close(broken[0]);
  ::close(broken[1]);
  expect_to_hold(server);
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(CaptionsStdio, HoldsWhenTheReaderOfItsTextHasStopped) {
  int full[2];
  ASSERT_EQ(::pipe2(full, O_NONBLOCK), 0);
  while (::write(full[1], "x", 1) == 1) {
  }
  ::fcntl(full[1], F_SETFL, 0);  // the server meets a pipe that blocks
  Server server(kGenerous,
                Start{.more = {"--workers", "1"}, .prepare = [&] { ::dup2(full[1], STDERR_FILENO); }});
  expect_to_hold(server);
  EXPECT_EQ(server.stop(SIGTERM), 0);
  ::close(full[0]);
  ::close(full[1]);
}

TEST(CaptionsStdio, PutsNothingOfItsOwnOnDescriptorsThatWereClosed) {
  Server server(kGenerous, Start{.more = {"--workers", "1"},
                                 .prepare =
                                     [] {
                                       for (const int standard : {0, 1, 2}) ::close(standard);
                                     },
                                 .port = free_port()});
  expect_to_hold(server);
  const pid_t worker = post(server, kGenerate, kWish).worker();
  for (const pid_t process : {server.pid(), worker}) {
    for (const int standard : {0, 1, 2}) {
      const auto link = fmt::format("/proc/{}/fd/{}", process, standard);
      EXPECT_EQ(std::filesystem::read_symlink(link), "/dev/null") << link;
    }
  }
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

constexpr std::string_view kOneAnHour = R"(
[segment]
users = 1000
[operations.caption_generation.user]
rate = "1/hour"
[operations.batch_processing.user]
rate = "5/hour"
)";

TEST(CaptionsReload, EnforcesTheLimitsOfItsFileOnSighup) {
  const Server server(kOneAnHour);
  ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  ASSERT_EQ(post(server, kGenerate, kWish).status, 429u);
  server.rewrite_config(kGenerous);
  server.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return server.log().find("limits reloaded") != std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return post(server, kGenerate, kWish).status == 200; }));

  server.rewrite_config(kOneAnHour);
  server.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return post(server, kGenerate, kWish).status == 429; }));
}

TEST(CaptionsReload, LeavesEverythingAsItIsWhenTheFileIsWrong) {
  const Server server(kStrict);
  const pid_t worker = post(server, kGenerate, kWish).worker();
  int said = 0;
  for (const std::string_view wrong :
       {"not toml", "[operations.caption_generation]\nrate = \"many\"\n",
        "[operations.other]\nrate = \"1/s\"\n",
        "[segment]\nusers = 77777\n[operations.caption_generation]\nrate = \"1/s\"\n"
        "[operations.batch_processing]\nrate = \"1/s\"\n"}) {
    server.rewrite_config(wrong);
    server.signal(SIGHUP);
    ++said;
    EXPECT_TRUE(eventually([&] {
      const std::string log = server.log();
      int count = 0;
      for (std::size_t at = 0; (at = log.find("not reloaded", at)) != std::string::npos; ++at) ++count;
      return count == said;
    })) << wrong;
  }
  for (int i = 0; i < 2; ++i) EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
  EXPECT_EQ(post(server, kGenerate, kWish).status, 429u);
  EXPECT_EQ(::kill(worker, 0), 0);
}

/// Lets the server find SIGTERM, and everything that the clients sent before it, at the same moment.
class Pause {
 public:
  explicit Pause(std::set<pid_t> workers) : workers_(std::move(workers)) { signal_all(SIGSTOP); }
  void end_with_sigterm_to(const Server& server) const {
    server.signal(SIGTERM);
    signal_all(SIGTERM);
    signal_all(SIGCONT);
  }

 private:
  void signal_all(int signal) const {
    for (const pid_t worker : workers_) ::kill(worker, signal);
  }
  std::set<pid_t> workers_;
};

TEST(CaptionsStop, AnswersEveryRequestThatHasArrived) {
  Server server(kGenerous, {"--workers", "2"});
  std::vector<std::unique_ptr<Connection>> clients;
  std::set<pid_t> workers;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    workers.insert(clients.back()->ask("POST", kGenerate, kWish, "demo-key-alice").worker());
  }
  const Pause pause(workers);
  // Some are the slow ones of an administrator, so the others wait behind them.
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const bool slow = i % 8 == 0;
    clients[i]->send(
        request_of(kGenerate + (slow ? "?slow=1" : ""), kWish, slow ? "demo-key-admin" : "demo-key-alice"));
  }
  pause.end_with_sigterm_to(server);
  for (auto& client : clients) {
    EXPECT_EQ(client->receive().status, 200u);
    EXPECT_EQ(client->receive().status, 0u) << "closed behind the answer";
  }
  EXPECT_EQ(server.wait(), 0);
}

TEST(CaptionsStop, AnswersAllRequestsOfAPipelineAndCloses) {
  Server server(kGenerous, {"--workers", "1"});
  Connection client(server.port());
  const pid_t worker = client.ask("POST", kGenerate, kWish, "demo-key-alice").worker();
  const Pause pause({worker});
  std::string pipeline;
  for (int i = 0; i < 20; ++i) pipeline += request_of(kGenerate, kWish, "demo-key-alice");
  client.send(pipeline);
  pause.end_with_sigterm_to(server);
  for (int i = 0; i < 20; ++i) {
    const Answer answer = client.receive();
    EXPECT_EQ(answer.status, 200u) << i;
    EXPECT_EQ(answer.field("Connection"), i == 19 ? "close" : "") << i;
  }
  EXPECT_EQ(server.wait(), 0);
}

TEST(CaptionsStop, AnswersClientsThatTheKernelHadAcceptedAlready) {
  Server server(kGenerous, {"--workers", "1"});
  const pid_t worker = post(server, kGenerate, kWish).worker();
  const Pause pause({worker});
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(request_of(kGenerate, kWish, "demo-key-alice"));
  }
  pause.end_with_sigterm_to(server);
  for (auto& client : clients) EXPECT_EQ(client->receive().status, 200u);
  EXPECT_EQ(server.wait(), 0);
}

TEST(CaptionsStop, LosesNoAnswerOfClientsUnderLoad) {
  Server server(kGenerous, {"--workers", "4"});
  // A client that connects after SIGTERM is refused, and rightly: so each is served once before.
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 16; ++i) {
    connections.push_back(std::make_unique<Connection>(server.port()));
    ASSERT_EQ(connections.back()->ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
  }
  std::atomic<int> answered{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> clients;
  for (const auto& connection : connections) {
    clients.emplace_back([&] {
      for (;;) {
        const Answer answer = connection->ask("POST", kGenerate, kWish, "demo-key-alice");
        answer.status == 200 ? ++answered : ++lost;
        if (answer.status != 200 || answer.field("Connection") == "close") return;
      }
    });
  }
  EXPECT_TRUE(eventually([&] { return answered > 500; }));
  server.signal(SIGTERM);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(lost, 0) << "of " << answered;
  EXPECT_EQ(server.wait(), 0);
}

TEST(CaptionsStop, EndsWithIdleAndUnfinishedClients) {
  Server server(kGenerous, {"--workers", "1"});
  Connection idle(server.port());
  ASSERT_EQ(idle.ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
  Connection unfinished(server.port());
  unfinished.send("POST " + kGenerate + " HTTP/1.1\r\nHost: t\r\nContent-Len");
  Connection deaf(server.port());
  EXPECT_EQ(server.stop(SIGTERM), 0);
  EXPECT_EQ(server.log().find("killing it"), std::string::npos) << server.log();
  EXPECT_EQ(idle.receive().status, 0u);
}

TEST(CaptionsClients, HaveABoundedShareOfTheConnections) {
  const Server server(kGenerous, {"--workers", "1", "--connections", "8", "--connections-per-client", "3"});
  std::vector<std::unique_ptr<Connection>> greedy;
  for (int i = 0; i < 3; ++i) {
    greedy.push_back(std::make_unique<Connection>(server.port()));
    ASSERT_EQ(greedy.back()->ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
  }
  Connection fourth(server.port());
  const Answer refused = fourth.receive();
  EXPECT_EQ(refused.status, 429u);
  EXPECT_EQ(refused.body["error"], "too_many_connections");
  EXPECT_EQ(refused.field("Connection"), "close");

  Connection other(server.port(), "127.0.0.2");
  EXPECT_EQ(other.ask("POST", kGenerate, kWish, "demo-key-bob").status, 200u);
  greedy.pop_back();
  EXPECT_TRUE(eventually([&] { return post(server, kGenerate, kWish).status == 200; }));
}

TEST(CaptionsClients, AreServedWhileOneAddressOpensAllItCan) {
  const Server server(kGenerous, {"--workers", "1", "--connections", "40"});  // a quarter: 10
  std::vector<std::unique_ptr<Connection>> greedy;
  for (int i = 0; i < 60; ++i) {
    greedy.push_back(std::make_unique<Connection>(server.port()));
    greedy.back()->send("POST / HTTP/1.1\r\nHost: ");
  }
  Connection other(server.port(), "127.0.0.2");
  EXPECT_EQ(other.ask("POST", kGenerate, kWish, "demo-key-bob").status, 200u);
}

TEST(CaptionsClients, WaitForAPlaceWhenAWorkerIsFull) {
  const Server server(kGenerous, {"--workers", "1", "--connections", "2", "--connections-per-client", "2"});
  auto first = std::make_unique<Connection>(server.port());
  ASSERT_EQ(first->ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
  Connection second(server.port());
  ASSERT_EQ(second.ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
  Connection third(server.port());
  third.send(request_of(kGenerate, kWish, "demo-key-alice"));
  first.reset();
  EXPECT_EQ(third.receive().status, 200u);
}

}  // namespace
}  // namespace weir::test
