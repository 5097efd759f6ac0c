// SPDX-License-Identifier: Apache-2.0
#include "captions_server.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mutex>
#include <string>
#include <sys/types.h>
#include <thread>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

namespace weir::test {
namespace {

TEST(CaptionsServer, GeneratesTheSameCaptionForTheSameWish) {
  const Server server(kGenerous);
  const Answer answer = post(server, kGenerate, kWish);
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.field("Content-Type"), "application/json");
  EXPECT_GT(answer.worker(), 0);
  EXPECT_EQ(answer.body["hashtags"], (Json{"#sunset", "#over", "#the"}));
  EXPECT_NE(answer.body["caption"].get<std::string>().find("Sunset over the sea"), std::string::npos);
  EXPECT_EQ(post(server, kGenerate, kWish).body, answer.body);
}

TEST(CaptionsServer, GivesBackWhateverTextItWasGivenAsValidJson) {
  const Server server(kGenerous);
  const std::string text = "\"quotes\" \\ </script> \x01 \n Zürich \U0001F30A";
  const Answer answer = post(server, kGenerate, Json{{"content_description", text}, {"style", text}}.dump());
  ASSERT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.body["style"], text);
  EXPECT_EQ(answer.body["hashtags"].size(), 5u);
}

TEST(CaptionsServer, EchoesAPriorityLevelFrom1To5AndRefusesOthers) {
  const Server server(kGenerous);
  const auto ask = [&](const Json& level) {
    return post(server, kPriority, Json{{"content_description", "x"}, {"priority_level", level}}.dump());
  };
  for (const int level : {1, 5}) EXPECT_EQ(ask(level).body["priority_level"], level);
  for (const Json& level : {Json(0), Json(6), Json(-1), Json(2.5), Json("3"), Json(UINT64_MAX), Json()}) {
    EXPECT_EQ(ask(level).status, 400u) << level;
  }
  EXPECT_EQ(post(server, kPriority, kWish).status, 400u);
}

// One worker has all of them, and answers others meanwhile.
TEST(CaptionsServer, LetsRequestsWaitByPriorityAndServesOthersMeanwhile) {
  const Server server(std::string(kGenerous) +
                          "[operations.caption_generation]\nconcurrent = 1\nqueue = 3\ntimeout = '50s'\n",
                      {"--workers", "1"});
  auto limiter = Limiter::attach(server.segment());
  ASSERT_TRUE(limiter) << limiter.error().message();
  Admission held = limiter->admit("caption_generation");
  ASSERT_TRUE(held);
  std::mutex mutex;
  std::vector<int> served;
  std::vector<std::thread> clients;
  for (const int level : {1, 3, 5}) {
    clients.emplace_back([&, level] {
      const std::string wish = Json{{"content_description", "x"}, {"priority_level", level}}.dump();
      const Answer answer = post(server, kPriority + "?slow=1", wish, "demo-key-admin");
      EXPECT_EQ(answer.status, 200u) << answer.body;
      const std::lock_guard lock(mutex);
      served.push_back(level);
    });
    EXPECT_TRUE(eventually([&] {
      const auto snapshot = take_snapshot(server.segment());
      return snapshot && snapshot->waiters.size() == clients.size();
    }));
  }
  const Answer full = post(server, kGenerate, kWish);
  EXPECT_EQ(full.status, 503u) << "the queue is full";
  EXPECT_EQ(full.field("Retry-After"), "1");
  held.release();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, (std::vector<int>{5, 3, 1}));
}

TEST(CaptionsServer, ChargesABatchOneTokenARequest) {
  const Server server(kStrict);
  EXPECT_EQ(post(server, kBatch, batch_of(3)).body["captions"].size(), 3u);
  EXPECT_EQ(post(server, kBatch, batch_of(3)).status, 429u);
  EXPECT_EQ(post(server, kBatch, batch_of(2)).status, 200u);
  EXPECT_EQ(post(server, kBatch, batch_of(1)).status, 429u);
}

TEST(CaptionsServer, TellsABatchThatNoWaitWouldLetPassToBeSmaller) {
  const Server server(kStrict);
  const Answer answer = post(server, kBatch, batch_of(6));
  EXPECT_EQ(answer.status, 400u);
  EXPECT_EQ(answer.body["error"], "invalid_request");
  EXPECT_EQ(answer.body["largest"], 5);
  EXPECT_NE(answer.body["message"].get<std::string>().find("send at most 5"), std::string::npos);
  EXPECT_EQ(answer.field("Retry-After"), "");
  EXPECT_EQ(post(server, kBatch, batch_of(5)).status, 200u) << "the refused batch was charged";
}

TEST(CaptionsServer, LetsTheLargestBatchPassUnderTheBuiltInLimits) {
  const Server server(builtin_config_text());
  EXPECT_EQ(post(server, kBatch, batch_of(100)).status, 200u);
}

TEST(CaptionsServer, ServesWithoutAKeyOnlyIfItShallAndUnderTheAddress) {
  const Server server(kStrict, {"--anonymous"});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(post(server, kGenerate, kWish, "").status, 200u);
  EXPECT_EQ(post(server, kGenerate, kWish, "").status, 429u);
  EXPECT_EQ(Connection(server.port(), "127.0.0.2").ask("POST", kGenerate, kWish, "").status, 200u);
  EXPECT_EQ(post(server, kGenerate, kWish, "no-such-key").status, 401u);
  EXPECT_EQ(post(server, kReset, "", "").status, 403u);
}

TEST(CaptionsServer, SaysWhenMoreIsThereAndNeverLaterThanRetryAfter) {
  const Server server(R"(
[segment]
users = 1000
[operations.caption_generation]
rate = ["6/min burst 3", "1000/hour"]
[operations.batch_processing]
rate = "1/s"
)");
  const Answer admitted = post(server, kGenerate, kWish);
  ASSERT_EQ(admitted.status, 200u);
  EXPECT_NE(admitted.field("RateLimit").find("rate[0]\";r=2;t=10"), std::string::npos)
      << admitted.field("RateLimit");
  for (int i = 0; i < 2; ++i) ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  const Answer refused = post(server, kGenerate, kWish);
  ASSERT_EQ(refused.status, 429u);
  const std::string field = refused.field("RateLimit");
  EXPECT_EQ(field.find("\"operations.caption_generation.rate[0]\";r=0"), 0u) << field;
  for (std::size_t at = 0; (at = field.find(";t=", at)) != std::string::npos; at += 3) {
    EXPECT_LE(std::stol(field.substr(at + 3)), std::stol(refused.field("Retry-After"))) << field;
  }
}

TEST(CaptionsServer, RefusesWhatIsWrongWithABodyWithoutChargingForIt) {
  const Server server(kStrict, {"--workers", "1"});
  const std::pair<std::string, std::string> wrong[] = {
      {kGenerate, ""},
      {kGenerate, "{"},
      {kGenerate, "[]"},
      {kGenerate, "null"},
      {kGenerate, "{}"},
      {kGenerate, R"({"content_description": ""})"},
      {kGenerate, R"({"content_description": 7})"},
      {kGenerate, R"({"content_description": "x", "style": 7})"},
      {kGenerate, R"({"content_description": "x", "hashtag_count": 31})"},
      {kGenerate, R"({"content_description": "x", "hashtag_count": -1})"},
      {kGenerate, R"({"content_description": "x", "hashtag_count": "3"})"},
      {kGenerate, R"({"content_description": "x", "hashtag_count": 1e999})"},
      {kGenerate, "{\"content_description\": \"\xff\xfe\"}"},
      {kGenerate, "{\"content_description\": \"cut \xe2\x82\"}"},
      {kGenerate, std::string(500'000, '[')},
      {kBatch, "{}"},
      {kBatch, R"({"requests": []})"},
      {kBatch, R"({"requests": {"content_description": "x"}})"},
      {kBatch, R"({"requests": ["x"]})"},
      {kBatch, R"({"requests": [{"content_description": "x"}, {}]})"},
      {kBatch, batch_of(101)},
  };
  const pid_t worker = get(server, kStatus).worker();
  for (const auto& [path, body] : wrong) {
    const Answer answer = post(server, path, body);
    EXPECT_EQ(answer.status, 400u) << body.substr(0, 80);
    EXPECT_EQ(answer.body["error"], "invalid_request") << body.substr(0, 80);
    EXPECT_EQ(answer.worker(), worker) << body.substr(0, 80);
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
  EXPECT_EQ(post(server, kBatch, batch_of(5)).status, 200u);
}

TEST(CaptionsServer, AsksForAKeyItKnows) {
  const Server server(kGenerous);
  for (const std::string key : {"", "demo-key-alic", "demo-key-alice1", "demo-key-alicf", "Demo-key-alice"}) {
    const Answer answer = post(server, kGenerate, kWish, key);
    EXPECT_EQ(answer.status, 401u) << key;
    EXPECT_EQ(answer.field("WWW-Authenticate"), "Bearer") << key;
  }
  EXPECT_EQ(post(server, kGenerate, kWish, std::string(5000, 'k')).status, 401u);
  EXPECT_EQ(get(server, kStatus, "").status, 401u);
  EXPECT_EQ(post(server, kReset, "", "").status, 401u);

  Connection basic(server.port());
  basic.send("GET " + kStatus + " HTTP/1.1\r\nHost: t\r\nAuthorization: Basic demo-key-alice\r\n\r\n");
  EXPECT_EQ(basic.receive().status, 401u);
  Connection lower_case(server.port());
  lower_case.send("GET " + kStatus + " HTTP/1.1\r\nHost: t\r\nAuthorization: bearer demo-key-alice\r\n\r\n");
  EXPECT_EQ(lower_case.receive().status, 200u);
}

TEST(CaptionsServer, KnowsTheKeysOfItsFileAndNoOthers) {
  const MemoryFile keys("# whose is whose\n\nk-1 zoe\r\nk-2 root admin\n");
  const Server server(kGenerous, {"--keys", path_of(keys)});
  EXPECT_EQ(post(server, kGenerate, kWish, "k-1").status, 200u);
  EXPECT_EQ(post(server, kReset, "", "k-1").status, 403u);
  EXPECT_EQ(post(server, kReset, "", "k-2").status, 200u);
  EXPECT_EQ(post(server, kGenerate, kWish, "demo-key-alice").status, 401u);
}

TEST(CaptionsServer, AnswersAnUnknownPathWith404AndAWrongMethodWith405) {
  const Server server(kGenerous);
  for (const std::string path : {"/", "/api/v14", "/api/v14/generate/", "/api/v15/generate", "*"}) {
    EXPECT_EQ(post(server, path, kWish).status, 404u) << path;
  }
  EXPECT_EQ(post(server, kGenerate + "?trace=1", kWish).status, 200u);
  for (const std::string& path : {kGenerate, kPriority, kBatch, kReset}) {
    const Answer answer = get(server, path);
    EXPECT_EQ(answer.status, 405u) << path;
    EXPECT_EQ(answer.field("Allow"), "POST") << path;
  }
  EXPECT_EQ(post(server, kStatus, "").status, 405u);
  EXPECT_EQ(post(server, kStatus, "").field("Allow"), "GET");
}

TEST(CaptionsServer, SendsNoBodyAfterTheAnswerToHead) {
  const Server server(kGenerous);
  Connection connection(server.port());
  EXPECT_EQ(connection.ask("HEAD", kGenerate, "", "demo-key-alice").status, 405u);
  EXPECT_EQ(connection.ask("POST", kGenerate, kWish, "demo-key-alice").status, 200u);
}

TEST(CaptionsServer, RefusesMoreThanAMebibyteAndKeepsServing) {
  const Server server(kGenerous, {"--workers", "1"});
  const auto wish_of = [](std::size_t bytes) {
    const std::string frame = R"({"content_description": ""})";
    return std::string(frame).insert(frame.size() - 2, std::string(bytes - frame.size(), 'x'));
  };
  const Answer largest = post(server, kGenerate, wish_of(1 << 20));
  EXPECT_EQ(largest.status, 200u);
  const Answer too_large = post(server, kGenerate, wish_of((1 << 20) + 1));
  EXPECT_EQ(too_large.status, 413u);
  EXPECT_EQ(too_large.worker(), largest.worker());

  // The server reads the rest as well: otherwise the connection would be reset before the client has read the answer.
  Connection chunked(server.port());
  chunked.send("POST " + kGenerate + " HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n");
  EXPECT_TRUE(chunked.send(std::string(0x800000, 'x')));
  EXPECT_EQ(chunked.receive().status, 413u);

  Connection header(server.port());
  header.send("GET " + kStatus + " HTTP/1.1\r\nX-Long: " + std::string(100'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(header.receive().status, 431u);
  EXPECT_EQ(post(server, kGenerate, kWish).worker(), largest.worker());
}

TEST(CaptionsServer, AnswersNonsenseWith400AndTheNextClientAsEver) {
  const Server server(kGenerous, {"--workers", "1"});
  const pid_t worker = post(server, kGenerate, kWish).worker();
  const std::string nonsense[] = {
      "nonsense\r\n\r\n",
      std::string("\0\0\0\0\r\n\r\n", 8),
      "\x16\x03\x01\x02",
      "GET / HTTP/9.9\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\ncut",
  };
  for (const std::string& bytes : nonsense) {
    Connection connection(server.port());
    connection.send(bytes);
    connection.send_end();
    const Answer answer = connection.receive();
    EXPECT_EQ(answer.status, 400u) << bytes;
    EXPECT_EQ(answer.body["error"], "malformed_http") << bytes;
    EXPECT_EQ(post(server, kGenerate, kWish).worker(), worker) << bytes;
  }
}

TEST(CaptionsServer, AnswersManyRequestsOfOneConnectionInTheirOrder) {
  const Server server(kGenerous);
  Connection connection(server.port());
  const pid_t worker = connection.ask("POST", kGenerate, kWish, "demo-key-alice").worker();
  connection.send("GET / HTTP/1.1\r\nHost: t\r\n\r\nGET " + kBatch + " HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 404u);
  const Answer last = connection.receive();
  EXPECT_EQ(last.status, 405u);
  EXPECT_EQ(last.worker(), worker);
}

TEST(CaptionsServer, AsksForTheBodyOfAClientThatWaitsToBeAsked) {
  const Server server(kGenerous);
  Connection connection(server.port());
  connection.send(fmt::format(
      "POST {} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer demo-key-alice\r\nExpect: 100-continue\r\n"
      "Content-Length: {}\r\n\r\n",
      kGenerate, kWish.size()));
  EXPECT_EQ(connection.receive().status, 100u);
  connection.send(kWish);
  EXPECT_EQ(connection.receive().status, 200u);
}

TEST(CaptionsServer, ShowsTheLimitsAndWhoIsUnderThem) {
  const Server server(kStrict);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  const Answer answer = get(server, kStatus);
  ASSERT_EQ(answer.status, 200u);
  EXPECT_GE(answer.body["user_table"]["capacity"], 1000);
  EXPECT_EQ(answer.body["user_table"]["active"], 1);
  bool found = false;
  for (const Json& limit : answer.body["user_limits"]) {
    if (limit["name"].get<std::string>().rfind("operations.caption_generation.user", 0) != 0) continue;
    found = true;
    EXPECT_EQ(limit["exhausted"], 1);
  }
  EXPECT_TRUE(found) << answer.body;
  for (const char* list :
       {"shared_limits", "shared_permits", "user_permits", "windows", "cooldowns", "breakers"})
    EXPECT_TRUE(answer.body[list].is_array()) << list;
  EXPECT_FALSE(answer.body.contains("workers")) << "clients need not know process ids";
}

TEST(CaptionsServer, LetsOnlyAnAdministratorReset) {
  const Server server(kStrict);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(post(server, kGenerate, kWish).status, 200u);
  EXPECT_EQ(post(server, kReset, "").status, 403u);
  ASSERT_EQ(post(server, kGenerate, kWish).status, 429u);

  const Answer done = post(server, kReset, "", "demo-key-admin");
  EXPECT_EQ(done.status, 200u);
  EXPECT_EQ(done.body["users_reset"], 1);
  EXPECT_TRUE(done.body["limits_reset"].is_number_unsigned());
  EXPECT_EQ(post(server, kGenerate, kWish).status, 200u);
}

}  // namespace
}  // namespace weir::test
