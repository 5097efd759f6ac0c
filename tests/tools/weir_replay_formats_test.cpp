// SPDX-License-Identifier: Apache-2.0

// Which lines weir-replay can read, what it takes for their user, time and operation, and what it reports about other
// lines.

#include <array>
#include <fmt/format.h>
#include <zlib.h>

#include "weir_replay.hpp"

namespace weir::test {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

constexpr std::string_view kNoon = "17/May/2015:12:00:00 +0000";
constexpr std::string_view kNever = "[operations.http.user]\nrate = \"1/day\"\n";
constexpr std::string_view kTail = "[17/May/2015:12:00:00 +0000] \"GET / HTTP/1.1\" 200 12";

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string compressed(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

class WeirReplayFormats : public WeirReplay {
 protected:
  /// Who the user of a line is: "-" if it names none, "unparsed" if it is not a request.
  [[nodiscard]] std::string user_of(std::string_view line, Strings options = {}) const {
    const std::string twice = fmt::format("{}\n{}\n", line, line);
    options.emplace_back("--json");
    const Ran ran = replay(kNever, twice, options);
    if (ran.status == 1) return "unparsed";
    const Json json = Json::parse(ran.out);
    EXPECT_EQ(json["requests"], 2) << line;
    if (json["without_user"] == 2) return "-";
    return json["top_refused"][0]["user"];
  }

  /// The time of a line, as the report shows it.
  [[nodiscard]] std::string time_of(std::string_view line) const {
    const Ran ran = replay(kNever, fmt::format("{}\n", line), {"--json"});
    return ran.status == 0 ? Json::parse(ran.out)["from"].get<std::string>() : "unparsed";
  }

  [[nodiscard]] std::string time_of_text(std::string_view time) const {
    return time_of(log_line("a", time).substr(0, log_line("a", time).size() - 1));
  }
};

TEST_F(WeirReplayFormats, ReadCompressedLogs) {
  const std::string log = log_line("a", kNoon) + log_line("a", kNoon);
  EXPECT_EQ(report(kNever, gzip(log))["requests"], 2);
  EXPECT_EQ(report(kNever, gzip(log) + gzip(log))["requests"], 4);
  EXPECT_EQ(report(kNever, gzip(log) + gzip("") + gzip(log) + std::string(512, '\0'))["requests"], 4);
  EXPECT_EQ(report(kNever, gzip(""))["requests"], 0);
  std::string longer;
  for (int i = 0; i < 50'000; ++i) longer += log_line(fmt::format("192.0.2.{}", i % 250), kNoon);
  EXPECT_EQ(report(kNever, gzip(longer))["requests"], 50'000);
  const Ran piped = run({kWeirReplay, "--json", "--config", dir_ / "limits.toml", "-"}, gzip(log));
  EXPECT_EQ(Json::parse(piped.out)["requests"], 2);
}

TEST_F(WeirReplayFormats, RefuseCompressedLogsThatAreNotWhole) {
  const std::string whole = gzip(log_line("a", kNoon) + log_line("b", kNoon));
  for (std::size_t length = 2; length < whole.size(); length += 7) {
    const Ran ran = replay(kNever, whole.substr(0, length));
    EXPECT_EQ(ran.status, 1) << length;
    EXPECT_TRUE(contains(ran.err, "compressed data")) << ran.err;
  }
  std::string damaged = whole;
  damaged[damaged.size() - 6] ^= 0x40;  // in its checksum
  EXPECT_EQ(replay(kNever, damaged).status, 1);
  EXPECT_EQ(replay(kNever, whole + "more").status, 1);
}

TEST_F(WeirReplayFormats, MergeSeveralLogsByTime) {
  const std::string config = dir_.write("limits.toml", "[operations.http.user]\nrate = \"1/s burst 1\"\n");
  const std::string odd = dir_.write(
      "odd.log", log_line("a", "17/May/2015:12:00:01 +0000") + log_line("a", "17/May/2015:12:00:03 +0000"));
  const std::string even = dir_.write("even.log", gzip(log_line("a", "17/May/2015:12:00:00 +0000") +
                                                       log_line("a", "17/May/2015:12:00:02 +0000") +
                                                       log_line("a", "17/May/2015:12:00:03 +0000")));
  const Ran ran =
      run({kWeirReplay, "--config", config, "--json", "--decisions", dir_ / "decisions", odd, even});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["log"], (Json{odd, even}));
  EXPECT_EQ(json["refused"], 1);
  EXPECT_EQ(json["out_of_order"], 0);  // each of them is in order
  EXPECT_EQ(lines_of(read_file(dir_ / "decisions")),
            (Strings{even + ":1 admitted - 0", odd + ":1 admitted - 0", even + ":2 admitted - 0",
                     odd + ":2 admitted - 0", even + ":3 throttled operations.http.user.rate 1000000000"}));
}

TEST_F(WeirReplayFormats, RefuseALogThatIsNamedTwice) {
  const std::string config = dir_.write("limits.toml", kNever);
  const std::string log = dir_.write("access.log", log_line("a", kNoon));
  EXPECT_EQ(run({kWeirReplay, "--config", config, log, log}).status, 2);
  EXPECT_EQ(run({kWeirReplay, "--config", config, log, dir_ / "../" + dir_.name() + "/access.log"}).status,
            2);
  EXPECT_EQ(run({kWeirReplay, "--config", config, "-", "-"}, log_line("a", kNoon)).status, 2);
  EXPECT_EQ(run({kWeirReplay, "--config", config, log, "-"}, log_line("a", kNoon)).status, 0);
}

TEST_F(WeirReplayFormats, SortAReversedLog) {
  std::string forward;
  std::string backward;
  for (int second = 0; second < 60; ++second) {
    const std::string line =
        log_line(fmt::format("192.0.2.{}", second % 3), fmt::format("17/May/2015:12:00:{:02} +0000", second));
    forward += line;
    backward.insert(0, line);
  }
  constexpr std::string_view kConfig =
      "[operations.http.user]\nrate = \"1/4s burst 2\"\n[operations.http]\nrate = \"1/2s burst 3\"\n";
  Json expected = report(kConfig, forward);
  EXPECT_GT(expected["refused"], 0);
  EXPECT_EQ(expected["out_of_order"], 0);
  for (const Strings& options : {Strings{}, Strings{"--sort"}, Strings{"--workers", "3"}}) {
    Json found = report(kConfig, backward, options);
    EXPECT_EQ(found["out_of_order"], 59);
    found["out_of_order"] = 0;
    EXPECT_EQ(found, expected);
  }
  EXPECT_TRUE(contains(replay(kConfig, backward).out, "59 requests were out of order, and were sorted"));
  EXPECT_NE(report(kConfig, backward, {"--no-sort"})["refused"], expected["refused"]);
}

TEST_F(WeirReplayFormats, KnowTheTimesOfACalendar) {
  EXPECT_EQ(time_of_text("29/Feb/2000:23:59:59 +0000"), "2000-02-29T23:59:59Z");
  EXPECT_EQ(time_of_text("29/Feb/2100:00:00:00 +0000"), "unparsed");
  EXPECT_EQ(time_of_text("01/Mar/2100:00:00:00 +0000"), "2100-03-01T00:00:00Z");
  EXPECT_EQ(time_of_text("19/Jan/2038:03:14:08 +0000"), "2038-01-19T03:14:08Z");
  EXPECT_EQ(time_of_text("01/Jan/1970:00:00:00 +0000"), "1970-01-01T00:00:00Z");
  EXPECT_EQ(time_of_text("31/Dec/1969:23:00:00 -0100"), "unparsed");              // a year before the first
  EXPECT_EQ(time_of_text("29/Mar/2015:03:00:00 +0200"), "2015-03-29T01:00:00Z");  // summer begins
  EXPECT_EQ(time_of_text("17/May/2015:12:00:00 +0545"), "2015-05-17T06:15:00Z");
  EXPECT_EQ(time_of_text("17/May/2015:12:00:00.750 -0330"), "2015-05-17T15:30:00Z");
}

TEST_F(WeirReplayFormats, ALeapSecondIsTheMidnightAfterIt) {
  EXPECT_EQ(time_of_text("30/Jun/2015:23:59:60 +0000"), "2015-07-01T00:00:00Z");
  EXPECT_EQ(time_of_text("01/Jul/2015:05:44:60 +0545"), "2015-07-01T00:00:00Z");
  EXPECT_EQ(time_of_text("30/Jun/2015:23:58:60 +0000"), "unparsed");
  EXPECT_EQ(time_of_text("30/Jun/2015:23:59:61 +0000"), "unparsed");
  EXPECT_EQ(time_of_text("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z");
}

TEST_F(WeirReplayFormats, ReadIsoTimes) {
  EXPECT_EQ(time_of_text("2015-05-17T12:00:00Z"), "2015-05-17T12:00:00Z");
  EXPECT_EQ(time_of_text("2015-05-17T12:00:00+02:00"), "2015-05-17T10:00:00Z");
  EXPECT_EQ(time_of_text("2015-05-17T12:00:00-0330"), "2015-05-17T15:30:00Z");
  EXPECT_EQ(time_of_text("2015-05-17 12:00:00,999 +01"), "2015-05-17T11:00:00Z");
  EXPECT_EQ(time_of_text("2015-05-17T12:00:00"), "2015-05-17T12:00:00Z");
  for (const std::string_view bad :
       {"2015-02-29T12:00:00Z", "2015-5-17T12:00:00Z", "2015-05-17", "2015-05-17T12:00Z",
        "2015-05/17T12:00:00Z", "2015-05-17T12:00:00ZZ", "2015-05-17T24:00:00Z", "2015-13-17T12:00:00Z",
        "9999-05-17T12:00:00Z", "0000-00-00T00:00:00Z"}) {
    EXPECT_EQ(time_of_text(bad), "unparsed") << bad;
  }
}

TEST_F(WeirReplayFormats, FindTheAddressBehindWhatOthersPutBeforeIt) {
  for (const std::string_view prefix :
       {"", "\xef\xbb\xbf", "example.com:443 ", "example.com ", "198.51.100.1:8080 ",
        "Nov  5 20:33:59 host nginx: ", "Nov 25 20:33:59 host nginx[123]: ",
        "<190>Nov 25 20:33:59 host nginx: ", "<190>1 2026-11-25T20:33:59.1Z host nginx 12 - - ",
        "<190>1 2026-11-25T20:33:59Z host nginx - ID7 [a@1 b=\"c] d\"] ",
        "2026-11-25T20:33:59.123456+01:00 host nginx[123]: ", "2026-11-25T20:33:59.123456789Z ",
        "2026-11-25T20:33:59.123456789Z stdout F ", "web-1  | ", "web-1  | example.com:80 "}) {
    EXPECT_EQ(user_of(fmt::format("{}192.0.2.7 - - {}", prefix, kTail)), "192.0.2.7") << prefix;
  }
  EXPECT_EQ(user_of(fmt::format("example.com:443 host.example - - {}", kTail)), "host.example");
  EXPECT_EQ(user_of(fmt::format("host.example - - {}", kTail)), "host.example");
  EXPECT_EQ(user_of(fmt::format("192.0.2.7 - - {}\r", kTail)), "192.0.2.7");
}

TEST_F(WeirReplayFormats, GroupIpv6AddressesOfOneClient) {
  const auto line = [](std::string_view address) { return fmt::format("{} - - {}", address, kTail); };
  EXPECT_EQ(user_of(line("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  EXPECT_EQ(user_of(line("2001:db8:1:2:3:4:5:6"), {"--ipv6-prefix", "48"}), "2001:db8:1::/48");
  EXPECT_EQ(user_of(line("2001:db8:1:2:3:4:5:6"), {"--ipv6-prefix", "128"}), "2001:db8:1:2:3:4:5:6");
  EXPECT_EQ(user_of(line("::ffff:192.0.2.7")), "192.0.2.7");
  EXPECT_EQ(user_of(line("192.0.2.7"), {"--ipv4-prefix", "24"}), "192.0.2.0/24");
  EXPECT_EQ(replay(kNever, line("::1") + "\n", {"--ipv6-prefix", "129"}).status, 2);
}

TEST_F(WeirReplayFormats, NamesMayHoldSpacesQuotesAndBrackets) {
  const auto name_in = [&](std::string_view name) {
    return user_of(fmt::format("192.0.2.7 - {} {}", name, kTail), {"--user", "name"});
  };
  EXPECT_EQ(name_in("alice"), "alice");
  EXPECT_EQ(name_in("John Doe"), "John Doe");
  EXPECT_EQ(name_in(R"(John \"the [best]\" Doe)"), "John \"the [best]\" Doe");
  EXPECT_EQ(name_in(R"(a\x22b\x5c)"), "a\"b\\");
  EXPECT_EQ(name_in(R"(a%22b)"), "a%22b");
  EXPECT_EQ(name_in(R"(\xzz\)"), R"(\xzz\)");
  EXPECT_EQ(name_in(R"([01/Jan/1999:00:00:00 +0000] \"GET)"), R"([01/Jan/1999:00:00:00 +0000] "GET)");
  EXPECT_EQ(name_in("-"), "-");
  EXPECT_EQ(name_in("\"\""), "-");
  EXPECT_EQ(time_of(fmt::format(R"(192.0.2.7 - [01/Jan/1999:00:00:00 +0000] \"GET {})", kTail)),
            "2015-05-17T12:00:00Z");
}

TEST_F(WeirReplayFormats, ThoseWithoutAUserMeetNoLimitOfUsers) {
  const std::string log = fmt::format("192.0.2.7 - - {0}\n192.0.2.7 - - {0}\n", kTail);
  const Json json = report(kNever, log, {"--user", "name"});
  EXPECT_EQ(json["admitted"], 2);
  EXPECT_EQ(json["users"], 0);
  EXPECT_EQ(json["without_user"], 2);
  const Ran ran = replay(kNever, log, {"--user", "name"});
  EXPECT_TRUE(contains(ran.err, "no request has what --user name asks for")) << ran.err;
  EXPECT_TRUE(contains(ran.out, "no user    2 requests")) << ran.out;
  EXPECT_EQ(replay(kNever, log, {"--user", ""}).status, 2);
}

TEST_F(WeirReplayFormats, TakeTheFirstOfThoseThatARequestWasForwardedFor) {
  const auto user = [&](std::string_view forwarded) {
    return user_of(fmt::format(R"(10.0.0.1 - - {} "-" "cu\"rl" "{}")", kTail, forwarded), {"--user", "xff"});
  };
  EXPECT_EQ(user("203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(user(" 203.0.113.9:1234 , 10.0.0.2"), "203.0.113.9");
  EXPECT_EQ(user("2001:db8::9, 10.0.0.2"), "2001:db8::/64");
  EXPECT_EQ(user("-"), "10.0.0.1");
  EXPECT_EQ(user(""), "10.0.0.1");
  EXPECT_EQ(user_of(fmt::format("10.0.0.1 - - {}", kTail), {"--user", "xff"}), "10.0.0.1");
}

TEST_F(WeirReplayFormats, ReadJson) {
  // As each of them writes by itself, or as its manual says.
  const std::string nginx =
      R"({"remote_addr":"192.0.2.7","time_iso8601":"2015-05-17T14:00:00+02:00","remote_user":"alice","request":"GET /a?b HTTP/1.1","http_x_forwarded_for":"203.0.113.9, 10.0.0.1","http_x_api_key":"k1"})";
  const std::string caddy =
      R"({"level":"info","ts":1431864000.25,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.7","remote_port":"41342","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a?b","headers":{"X-Api-Key":["k1"],"X-Forwarded-For":["203.0.113.9, 10.0.0.1"]}},"user_id":"alice","duration":0.000929675,"status":200})";
  const std::string traefik =
      R"({"ClientAddr":"192.0.2.7:5123","ClientHost":"192.0.2.7","ClientUsername":"alice","RequestPath":"/a?b","StartUTC":"2015-05-17T12:00:00.123456789Z","time":"2015-05-17T12:00:09Z","request_X-Api-Key":"k1","request_X-Forwarded-For":"203.0.113.9"})";
  for (const std::string& line : {nginx, caddy, traefik}) {
    EXPECT_EQ(time_of(line), "2015-05-17T12:00:00Z") << line;
    EXPECT_EQ(user_of(line), "192.0.2.7") << line;
    EXPECT_EQ(user_of(line, {"--user", "name"}), "alice") << line;
    EXPECT_EQ(user_of(line, {"--user", "xff"}), "203.0.113.9") << line;
    EXPECT_EQ(user_of(line, {"--user", "X-Api-Key"}), "k1") << line;
    EXPECT_EQ(user_of(line, {"--user", "x-api-key"}), "k1") << line;
    EXPECT_EQ(user_of(line, {"--user", "X-Other"}), "-") << line;
  }
  EXPECT_EQ(time_of(R"({"remote_addr":"192.0.2.7","msec":"1431864000.123"})"), "2015-05-17T12:00:00Z");
  EXPECT_EQ(time_of(R"({"remote_addr":"192.0.2.7","ts":1431864000123})"), "2015-05-17T12:00:00Z");
  EXPECT_EQ(time_of(R"({"remote_addr":"192.0.2.7","time_local":"17/May/2015:14:00:00 +0200"})"),
            "2015-05-17T12:00:00Z");
  EXPECT_EQ(user_of("{\"remote_addr\":\"192.0.2.7\",\"msec\":1431864000,\"agent\":\"\xff\"}"), "192.0.2.7");
  EXPECT_EQ(user_of(R"({"remote_addr":"192.0.2.7","msec":"1431864000","remote_user":"a\"b c"})",
                    {"--user", "name"}),
            "a\"b c");
}

TEST_F(WeirReplayFormats, ReadLinesThatOthersWrapInJson) {
  const std::string docker = fmt::format(
      R"({{"log":"192.0.2.7 - - [17/May/2015:12:00:00 +0000] \"GET / HTTP/1.1\" 200 1\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}})");
  EXPECT_EQ(user_of(docker), "192.0.2.7");
  EXPECT_EQ(time_of(docker), "2015-05-17T12:00:00Z");
  EXPECT_EQ(user_of(R"({"log":"{\"remote_addr\":\"192.0.2.7\",\"msec\":\"1431864000\"}\n"})"), "192.0.2.7");
  EXPECT_EQ(user_of(R"(web-1  | {"remote_addr":"192.0.2.7","msec":"1431864000"})"), "192.0.2.7");
}

TEST_F(WeirReplayFormats, SurviveHostileJson) {
  std::string log = log_line("a", kNoon);
  log += "{\"a\":" + std::string(1'000'000, '[') + "\n";
  log += "{" + std::string(1'000'000, '{') + "\n";
  log += R"({"remote_addr":7,"ts":"yesterday"})"
         "\n"
         R"({"remote_addr":["192.0.2.7"],"ts":1e300})"
         "\n";
  log += R"({"remote_addr":{"x":1},"ts":-5})"
         "\n{}\n{\n"
         R"({"log":"{\"log\":\"{\\\"log\\\":1}\"}"})"
         "\n";
  const Json json = report(kNever, log);
  EXPECT_EQ(json["requests"], 1);
  EXPECT_EQ(json["unparsed"], 8);
}

TEST_F(WeirReplayFormats, ReadLinesOfAnyLength) {
  const std::string path(1'000'000, 'a');
  std::string log = fmt::format("192.0.2.7 - - [{}] \"GET /{} HTTP/1.1\" 200 1\n", kNoon, path);
  log += std::string(9'000'000, '[') + "\n" + std::string(100, '\0') + "\n" + log_line("b", kNoon);
  log += log_line("c", kNoon).substr(0, 30);  // cut off by a full disk
  const Json json = report(kNever, log);
  EXPECT_EQ(json["requests"], 2);
  EXPECT_EQ(json["unparsed"], 3);
}

TEST_F(WeirReplayFormats, TakeTheOperationFromThePath) {
  constexpr std::string_view kThree =
      "[operations.http]\nrate = \"1/day\"\n[operations.api]\nrate = \"1/day\"\n"
      "[operations.login]\nrate = \"1/day\"\n";
  const Strings by = {"--operation-by", "/login=login", "--operation-by", "/api/*=api"};
  const auto operation_of = [&](std::string_view request) {
    const std::string log = fmt::format("192.0.2.7 - - [{}] \"{}\" 200 1\n", kNoon, request);
    const Json json = report(kThree, log, by);
    for (const auto& [name, counts] : json["by_operation"].items()) {
      if (counts["requests"] == 1) return name;
    }
    return std::string("none");
  };
  EXPECT_EQ(operation_of("GET /login HTTP/1.1"), "login");
  EXPECT_EQ(operation_of("GET /login?a=/api/b HTTP/1.1"), "login");
  EXPECT_EQ(operation_of("GET /login/more HTTP/1.1"), "http");
  EXPECT_EQ(operation_of("GET /api/a/b HTTP/1.1"), "api");
  EXPECT_EQ(operation_of("GET /%61pi/%22 HTTP/1.1"), "api");
  EXPECT_EQ(operation_of(R"(GET /api/\x22 HTTP/1.1)"), "api");
  EXPECT_EQ(operation_of("GET http://example.com/api/a HTTP/1.1"), "api");
  EXPECT_EQ(operation_of("-"), "http");
  EXPECT_EQ(operation_of(""), "http");
  EXPECT_EQ(operation_of(R"(\x16\x03\x01)"), "http");

  const std::string log = fmt::format("192.0.2.7 - - [{}] \"GET /api/ HTTP/1.1\" 200 1\n", kNoon);
  EXPECT_EQ(replay(kThree, log, {"--operation-by", "/api/*=none"}).status, 2);
  for (const std::string bad : {"/api/*", "=api", "/api/*=", ""}) {
    EXPECT_EQ(replay(kThree, log, {"--operation-by", bad}).status, 2) << bad;
  }
  // If every path matches, the operation for other paths need not exist.
  constexpr std::string_view kOther = "[operations.api]\nrate = \"1/day\"\n";
  EXPECT_EQ(report(kOther, log + log, {"--operation-by", "*=api"})["refused"], 1);
}

TEST_F(WeirReplayFormats, ALogThatIsNotUnderstoodIsAnError) {
  struct Case {
    std::string log;
    std::string_view hint;
  };
  const Case cases[] = {
      {"\n", "none of 1 lines is a request"},
      {"hello\nworld\n", "none of 2 lines is a request; line 1 is \"hello\""},
      {"\x1b[2J\x07\n", "\\x1b[2J\\x07"},
      {R"({"a":1,"b":2})", "its keys are a, b"},
      {R"({"ts":1431864000})", "JSON without an address"},
      {"{\"ts\":14318", "looks like JSON"},
      {"\x28\xb5\x2f\xfd\x04", "zstdcat"},
      {"BZh91AY", "bzcat"},
      {"\xfd"
       "7zXZ",
       "xzcat"},
      {std::string("\xff\xfe"
                   "1\0",
                   4),
       "UTF-16"},
      {"Nov 25 20:33:59 host nginx[123]: started\n", "prefix of syslog"},
      {"2026/11/25 20:33:59 [error] 1#0: open() failed\n", "error log"},
      {"#Software: Microsoft\n#Fields: date time\n", "W3C"},
  };
  for (const Case& bad : cases) {
    for (const Strings& options : {Strings{}, Strings{"--json"}}) {
      const Ran ran = replay(kNever, bad.log, options);
      EXPECT_EQ(ran.status, 1) << bad.log;
      EXPECT_EQ(ran.out, "") << bad.log;
      EXPECT_TRUE(contains(ran.err, bad.hint)) << ran.err;
      EXPECT_FALSE(contains(ran.err, "\x1b"));
    }
  }
}

TEST_F(WeirReplayFormats, StandardStreamsMayBeClosed) {
  const std::string config = dir_.write("limits.toml", kNever);
  const std::string log = dir_.write("access.log", log_line("a", kNoon));
  const auto status = [&](std::string_view arguments) {
    return run({"sh", "-c", fmt::format("exec {} --config {} {}", kWeirReplay, config, arguments)}).status;
  };
  EXPECT_EQ(status(log + " >&-"), 1);
  EXPECT_EQ(status(log + " <&-"), 0);
  EXPECT_EQ(status(log + " 2>&-"), 0);
  EXPECT_EQ(status("- <&-"), 1);
  EXPECT_EQ(status("- <&- >&- 2>&-"), 1);
  EXPECT_EQ(status("/none 2>&-"), 1);
  EXPECT_EQ(status("/none 2>/dev/full"), 1);
  EXPECT_EQ(status("--colour 2>/dev/full"), 2);
  EXPECT_EQ(read_file(log), log_line("a", kNoon));
}

TEST_F(WeirReplayFormats, GiveTheSameAnswerAtEveryRunAndThatOfTheCalendar) {
  // Ten pass at the end of an hour and ten at the beginning of the next, whatever the host's clock shows.
  std::string log;
  for (int i = 0; i < 10; ++i) log += log_line("a", "01/Aug/1995:10:59:50 +0000");
  for (int i = 0; i < 10; ++i) log += log_line("a", "01/Aug/1995:11:00:10 +0000");
  const auto admitted = [&](std::string_view limits) { return report(limits, log)["admitted"]; };
  EXPECT_EQ(admitted("[operations.http]\nwindow = { limit = \"5 per 1h\", kind = \"fixed\" }\n"), 10);
  EXPECT_EQ(admitted("[operations.http.user]\nwindow = { limit = \"5 per 1h\", kind = \"fixed\" }\n"), 10);
  EXPECT_EQ(admitted("[operations.http]\nwindow = { limit = \"5 per 1h\", kind = \"ring\" }\n"), 5);
  EXPECT_EQ(admitted("[operations.http.user]\nwindow = \"5 per 1h\"\n"), 5);
  const std::string row = log_line("a", "01/Aug/1995:10:00:00 +0000") +
                          log_line("a", "01/Aug/1995:10:00:00 +0000") +
                          log_line("a", "01/Aug/1995:10:00:10 +0000");
  for (int run = 0; run < 20; ++run) {
    EXPECT_EQ(
        report("[operations.http]\nrate = \"1/s burst 1\"\ncooldown = { for = \"10s\", refusals = 1 }\n",
               row)["admitted"],
        2);
  }
}

TEST_F(WeirReplayFormats, ATableThatIsTooSmallForgetsTheSameUsersAtEveryRun) {
  std::string log;
  for (int i = 0; i < 3000; ++i) {
    log += log_line(fmt::format("192.0.{}.{}", i % 4, i * 7 % 250),
                    fmt::format("17/May/2015:12:{:02}:00 +0000", i / 100));
  }
  constexpr std::string_view kSmall =
      "[segment]\nusers = 20\n[operations.http.user]\nrate = \"1/day burst 2\"\n";
  const std::string first = replay(kSmall, log).out;
  for (int run = 0; run < 5; ++run) EXPECT_EQ(replay(kSmall, log).out, first);
}

TEST_F(WeirReplayFormats, SayWhatALogCannotTry) {
  constexpr std::string_view kConfig = R"(
[global]
concurrent = 1
[operations.http]
rate = "1/day"
concurrent = 1
breaker = { failures = 1, recovery = "30s" }
[operations.http.user]
concurrent = 1
[operations.other]
concurrent = 1
)";
  const std::string log = log_line("a", kNoon) + log_line("a", kNoon);
  const Json json = report(kConfig, log);
  EXPECT_EQ(json["not_tried"], (Json{"global.concurrent", "operations.http.concurrent",
                                     "operations.http.user.concurrent", "operations.http.breaker"}));
  EXPECT_EQ(json["refused_by"], (Json{{"operations.http.rate", 1}}));
  EXPECT_TRUE(contains(replay(kConfig, log).out, "permits and breakers cannot refuse in a replay"));
  EXPECT_FALSE(contains(replay(kNever, log).out, "not tried"));
}

}  // namespace
}  // namespace weir::test
