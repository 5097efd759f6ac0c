// SPDX-License-Identifier: Apache-2.0

// Where a request ends: what a captions_server refuses so that no proxy in front of it can see another end.

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <vector>

#include "captions_server.hpp"

namespace weir::test {
namespace {

const std::string kKey = "Authorization: Bearer demo-key-alice\r\n";
/// What a smuggler hides behind the request that is under test: it must not be answered.
const std::string kHidden = "GET /hidden HTTP/1.1\r\nHost: t\r\n\r\n";

std::string post_head(std::string_view fields) {
  return fmt::format("POST {} HTTP/1.1\r\n{}{}\r\n", kGenerate, kKey, fields);
}

std::string chunked_wish() {
  return fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", kWish.size(), kWish);
}

/// Sends bytes and expects one refusal, and the end of the connection.
void expect_refused(const Server& server, const std::string& bytes, const std::vector<unsigned>& statuses) {
  Connection connection(server.port());
  connection.send(bytes);
  const Answer answer = connection.receive();
  EXPECT_NE(std::find(statuses.begin(), statuses.end(), answer.status), statuses.end())
      << answer.status << " to " << bytes;
  EXPECT_EQ(answer.field("Connection"), "close") << bytes;
  EXPECT_EQ(connection.receive().status, 0u) << "a second answer to " << bytes;
}

TEST(CaptionsFraming, RefusesEveryTransferEncodingButChunkedAndCloses) {
  const Server server(kGenerous, {"--workers", "1"});
  for (const std::string value :
       {"chunked, identity", "identity", "xchunked", "gzip, chunked", "gzip", "chunked, gzip",
        "chunked, chunked", "chunked;q=1", "\"chunked\"", "chunked,", ",chunked", "x chunked", ""}) {
    expect_refused(server,
                   post_head("Host: t\r\nTransfer-Encoding: " + value + "\r\n") + chunked_wish() + kHidden,
                   {400, 501});
  }
  for (const std::string fields :
       {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding: \x0b"
        "chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n", "X: y\rTransfer-Encoding: chunked\r\n"}) {
    expect_refused(server, post_head("Host: t\r\n" + fields) + chunked_wish() + kHidden, {400});
  }
  expect_refused(server,
                 "POST " + kGenerate + " HTTP/1.0\r\n" + kKey + "Transfer-Encoding: chunked\r\n\r\n" +
                     chunked_wish() + kHidden,
                 {400});
}

TEST(CaptionsFraming, UnderstandsChunkedHoweverItIsSpelled) {
  const Server server(kGenerous);
  for (const std::string fields : {"Transfer-Encoding: chunked\r\n", "TRANSFER-encoding:CHUNKED\r\n",
                                   "Transfer-Encoding: \t chunked \t\r\n"}) {
    Connection connection(server.port());
    connection.send(post_head("Host: t\r\n" + fields) + chunked_wish());
    EXPECT_EQ(connection.receive().status, 200u) << fields;
    EXPECT_EQ(connection.ask("POST", kGenerate, kWish, "demo-key-bob").status, 200u) << fields;
  }
}

TEST(CaptionsFraming, RefusesEveryContentLengthButOneNumber) {
  const Server server(kGenerous, {"--workers", "1"});
  for (const std::string& fields : std::vector<std::string>{
           "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n",
           "Content-Length: 5 5\r\n", "Content-Length: 5,5\r\n", "Content-Length: 5, 5\r\n",
           "Content-Length: \r\n", "Content-Length: 5.0\r\n", "Content-Length: 5;\r\n",
           "Content-Length: 18446744073709551616\r\n", "Content-Length : 5\r\n",
           "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
           "Content-Length: 5\r\nContent-length: 5\r\n", "Content-Length:\r\n 5\r\n",
           std::string("Content-Length: 5\0\r\n", 20)}) {
    expect_refused(server, post_head("Host: t\r\n" + fields) + kWish + kHidden, {400});
  }
}

TEST(CaptionsFraming, RefusesWhatIsNotAHeaderAtOnce) {
  const Server server(kGenerous, {"--workers", "1"});
  // None of these is complete, so none may be answered only because the client gave up.
  for (const std::string& bytes : std::vector<std::string>{
           "GET / HTTP/1.1\nHost: t\n\n", "GET / HTTP/1.1\r\nHost: t\n\r\n", "GET / HTTP/1.1\rHost: t\r\r",
           std::string("GET / HTTP/1.1\r\nHost: t\r\nX: \0\r\n\r\n", 33),
           "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n\tb\r\n\r\n", "GET / HTTP/1.1\r\n Host: t\r\n\r\n",
           " GET / HTTP/1.1\r\nHost: t\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
           "GET / HTTP/1.1\r\nHost: t\r\nX: \x7f\r\n\r\n", "GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: t\r\n: no name\r\n\r\n", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
           "GET / HTTP/1.2\r\nHost: t\r\n\r\n", "GET / HTTP/2.0\r\nHost: t\r\n\r\n", "GET /\r\n\r\n",
           "GET / HTTP/1.1 \r\nHost: t\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    expect_refused(server, bytes, {400});
  }
}

TEST(CaptionsFraming, WantsExactlyOneHost) {
  const Server server(kGenerous, {"--workers", "1"});
  for (const std::string fields :
       {"", "Host:\r\n", "Host: t\r\nHost: t\r\n", "Host: t\r\nHost: u\r\n", "Host: user@t\r\n",
        "Host: user:password@t\r\n", "Host: t, u\r\n", "Host: t u\r\n", "Host: http://t\r\n", "Host: t/\r\n",
        "Host: t?\r\n", "Host: :80\r\n", "Host: t:80:80\r\n", "Host: t:x\r\n", "Host: [::1\r\n",
        "Host: []\r\n", "Host: t\\u\r\n", "Host : t\r\n"}) {
    expect_refused(server, fmt::format("GET {} HTTP/1.1\r\n{}{}\r\n", kStatus, kKey, fields), {400});
  }
  for (const std::string host : {"t", "t:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a.b-c_d", "t:"}) {
    Connection connection(server.port());
    connection.send(fmt::format("GET {} HTTP/1.1\r\n{}Host: {}\r\n\r\n", kStatus, kKey, host));
    EXPECT_EQ(connection.receive().status, 200u) << host;
  }
  Connection old(server.port());
  old.send(fmt::format("GET {} HTTP/1.0\r\n{}\r\n", kStatus, kKey));
  EXPECT_EQ(old.receive().status, 200u) << "HTTP/1.0 needs none";
}

TEST(CaptionsFraming, UnderstandsTheTargetThatIsSentToAProxy) {
  const Server server(kGenerous);
  const auto ask = [&](const std::string& target) {
    Connection connection(server.port());
    connection.send(fmt::format("GET {} HTTP/1.1\r\nHost: t\r\n{}\r\n", target, kKey));
    return connection.receive().status;
  };
  for (const std::string base : {"http://t", "HTTP://T:80", "https://[::1]:443", "http://other.example"}) {
    EXPECT_EQ(ask(base + kStatus), 200u) << base;
    EXPECT_EQ(ask(base + kStatus + "?x=http://y/"), 200u) << base;
    EXPECT_EQ(ask(base), 404u) << base;
    EXPECT_EQ(ask(base + "?x"), 404u) << base;
  }
  EXPECT_EQ(ask("/?" + kStatus), 404u);
  for (const std::string base : {"http://user@t", "http://user:password@t", "http://", "http://t,u"}) {
    EXPECT_EQ(ask(base + kStatus), 400u) << base;
  }
}

TEST(CaptionsFraming, SendsNoContinueToHttp10NorWithoutNeed) {
  const Server server(kGenerous);
  const auto length = fmt::format("Content-Length: {}\r\n", kWish.size());
  Connection old(server.port());
  old.send("POST " + kGenerate + " HTTP/1.0\r\n" + kKey + "Expect: 100-continue\r\n" + length + "\r\n");
  old.send(kWish);
  EXPECT_EQ(old.receive().status, 200u);

  Connection without_body(server.port());
  without_body.send(
      fmt::format("GET {} HTTP/1.1\r\nHost: t\r\n{}Expect: 100-continue\r\n\r\n", kStatus, kKey));
  EXPECT_EQ(without_body.receive().status, 200u);

  Connection refused(server.port());
  refused.send(post_head("Host: t\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n"));
  EXPECT_EQ(refused.receive().status, 413u);
}

TEST(CaptionsFraming, DropsTheFieldsBehindAChunkedBody) {
  const Server server(kGenerous);
  Connection connection(server.port());
  connection.send(
      fmt::format("POST {} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n"
                  "{}\r\n",
                  kGenerate, kWish.size(), kWish, kKey));
  EXPECT_EQ(connection.receive().status, 401u) << "the key came too late";
  EXPECT_EQ(connection.ask("POST", kGenerate, kWish, "demo-key-bob").status, 200u);
}

TEST(CaptionsFraming, BoundsWhatAChunkMayAddToItsSize) {
  const Server server(kGenerous, {"--workers", "1"});
  Connection connection(server.port());
  connection.send(post_head("Host: t\r\nTransfer-Encoding: chunked\r\n") + "5;");
  for (int i = 0; i < 64 && connection.send(std::string(16'384, 'x')); ++i) {
  }
  EXPECT_EQ(connection.receive().status, 400u);
}

TEST(CaptionsFraming, ReadsAHeaderThatArrivesByteByByte) {
  const Server server(kGenerous);
  Connection connection(server.port());
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: t\r\n{}\r\n", kStatus, kKey);
  for (const char byte : request) ASSERT_TRUE(connection.send({&byte, 1}));
  EXPECT_EQ(connection.receive().status, 200u);
}

}  // namespace
}  // namespace weir::test
