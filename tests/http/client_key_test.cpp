// SPDX-License-Identifier: Apache-2.0
#include "weir/client_key.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(ClientKey, GroupsIpv6By64AndKeepsIpv4Apart) {
  EXPECT_EQ(client_key("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(client_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(client_key("2001:db8:1:2:ffff:ffff:ffff:ffff"), "2001:db8:1:2::/64");
  EXPECT_EQ(client_key("2001:db8:1:3::"), "2001:db8:1:3::/64");
}

TEST(ClientKey, IsTheSameHoweverAnAddressIsWritten) {
  for (const char* same : {"2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "[2001:db8::1]",
                           "[2001:db8::1]:443", "2001:db8::1%eth0", "2001:db8::0.0.0.1"}) {
    EXPECT_EQ(client_key(same), "2001:db8::/64") << same;
  }
  for (const char* same : {"192.0.2.7", "192.0.2.7:80", "::ffff:192.0.2.7", "::FFFF:c000:207",
                           "[::ffff:192.0.2.7]:80", "0:0:0:0:0:ffff:192.0.2.7"}) {
    EXPECT_EQ(client_key(same), "192.0.2.7") << same;
  }
}

TEST(ClientKey, CutsAtAnyBit) {
  EXPECT_EQ(client_key("255.255.255.255", 0), "0.0.0.0/0");
  EXPECT_EQ(client_key("255.255.255.255", 9), "255.128.0.0/9");
  EXPECT_EQ(client_key("255.255.255.255", 31), "255.255.255.254/31");
  EXPECT_EQ(client_key("255.255.255.255", 32), "255.255.255.255");
  EXPECT_EQ(client_key("255.255.255.255", 99), "255.255.255.255");
  EXPECT_EQ(client_key("::ffff:192.0.2.7", 24), "192.0.2.0/24");
  EXPECT_EQ(client_key("ffff:ffff:ffff:ffff:ffff::", 32, 0), "::/0");
  EXPECT_EQ(client_key("ffff:ffff:ffff:ffff:ffff::", 32, 57), "ffff:ffff:ffff:ff80::/57");
  EXPECT_EQ(client_key("2001:db8::1", 32, 127), "2001:db8::/127");
  EXPECT_EQ(client_key("2001:db8::1", 32, 128), "2001:db8::1");
  EXPECT_EQ(client_key("2001:db8::1", 32, 1000), "2001:db8::1");
}

TEST(ClientKey, LeavesAloneWhatIsNotAnAddress) {
  using namespace std::string_view_literals;
  for (const std::string_view name :
       {""sv, "-"sv, "unix:"sv, "host.example:80"sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.007"sv,
        "1.2.3.4 "sv, "1.2.3.4\0"sv, "[::1"sv, "[::1]x"sv, "::1::2"sv, ":"sv, "%"sv, "[]"sv, "\xff\xfe"sv,
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222"sv}) {
    EXPECT_EQ(client_key(name), name);
  }
}

}  // namespace
}  // namespace weir
