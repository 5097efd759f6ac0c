// SPDX-License-Identifier: Apache-2.0
#include "config/nesting.hpp"

#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"

namespace weir {
namespace {

using testing::HasSubstr;

std::string repeated(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

struct Case {
  const char* what;
  std::function<std::string(int depth)> toml;
};

// Each of these texts once overflowed the stack: in the parser, in the destructors of tables, or in our recursion.
const Case kWaysDown[] = {
    {"a dotted key", [](int depth) { return repeated("a.", depth) + "a = 1\n"; }},
    {"a table's name", [](int depth) { return fmt::format("[{}a]\n", repeated("a.", depth)); }},
    {"a list's name", [](int depth) { return fmt::format("[[{}a]]\n", repeated("a.", depth)); }},
    {"lists", [](int depth) { return "a = " + repeated("[", depth) + repeated("]", depth); }},
    {"lists over lines", [](int depth) { return "a = " + repeated("[\n", depth) + repeated("]\n", depth); }},
    {"tables", [](int depth) { return "a = " + repeated("{a = ", depth) + "1" + repeated("}", depth); }},
    {"dotted keys in tables",
     [](int depth) { return "a = " + repeated("{a.a.a = ", depth) + "1" + repeated("}", depth); }},
    {"tables in lists",
     [](int depth) { return "a = " + repeated("[\n{b = ", depth) + "1" + repeated("}]", depth); }},
    {"quoted parts of a key", [](int depth) { return repeated("\"a'\".'b\"'.", depth) + "a = 1\n"; }},
    {"a key behind a string with quotes at its end",
     [](int depth) { return "a = {b = \"\"\"x\"\"\"\"\", " + repeated("c.", depth) + "d = 1}"; }},
    {"a key behind an empty string",
     [](int depth) { return "a = {b = \"\", " + repeated("c.", depth) + "d = ''}"; }},
    {"a key behind an escaped quote",
     [](int depth) { return "a = {b = \"\\\"\", " + repeated("c.", depth) + "d = ''}"; }},
    {"a key behind a comment with a quote",
     [](int depth) { return "# it's\na = 1\n" + repeated("c.", depth) + "d = 1"; }},
};

TEST(Nesting, IsRefusedBeforeItEndsTheStack) {
  for (const Case& way : kWaysDown) {
    for (const int depth : {65, 100'000}) {
      const Result<Config> config = parse_config(way.toml(depth), "deep.toml");
      ASSERT_FALSE(config) << way.what;
      EXPECT_THAT(config.error().message(), HasSubstr("nested more than 64 deep"))
          << way.what << ' ' << depth;
    }
  }
}

TEST(Nesting, IsRefusedInAValueAndAKey) {
  Config config;
  for (const Case& way : kWaysDown) {
    EXPECT_FALSE(set_value(config, "global.rate", way.toml(100'000))) << way.what;
    EXPECT_FALSE(set_value(config, way.toml(100'000), "1/s")) << way.what;
  }
  EXPECT_FALSE(set_value(config, "operations" + repeated(".a", 100'000), "1/s"));
  EXPECT_FALSE(set_value(config, "operations.x.rate" + repeated("[0]", 100'000), "1/s"));
  EXPECT_EQ(config, Config{});
}

TEST(Nesting, NamesTheLine) {
  const Result<Config> config =
      parse_config("# 1\n[global]\n" + repeated("a.", 100'000) + "a = 1\n", "deep.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message(),
            "deep.toml:3: nested more than 64 deep; use the keys of the format, as in [operations.x.user]");
}

TEST(Nesting, IsNotWhatStandsInTextAndComments) {
  const std::string dots = repeated(".", 1'000);
  const std::string brackets = repeated("[{", 1'000);
  for (const std::string& toml :
       {"# " + dots + brackets + "\n", "a = \"" + dots + brackets + "\"\n", "a = '" + dots + "\\'\n",
        "a = \"\"\"\n" + brackets + "\"\"\"\n", "a = '''\n" + brackets + "''\n'''''\n",
        "a = \"\\\"" + dots + "\"\n", "\"" + dots + "\" = 1\n"}) {
    EXPECT_EQ(detail::NestingScan(toml).too_deep(), std::nullopt) << toml;
  }
}

TEST(Nesting, MayBeAsWideAsItLikes) {
  const std::string toml = "a = [\n" + repeated("{b.c = [1.5, 2.5], d = []},\n", 10'000) + "]\n" +
                           repeated("[x.y]\nz.z = 1.5\n", 10'000);
  EXPECT_EQ(detail::NestingScan(toml).too_deep(), std::nullopt);
}

}  // namespace
}  // namespace weir
