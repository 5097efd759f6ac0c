// SPDX-License-Identifier: Apache-2.0

// The programs of the README are those that stand there, run, and report what is wrong.

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

#include "support/process.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using testing::HasSubstr;

std::string content(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(WEIR_SOURCE_DIR "/" + file).rdbuf();
  return text.str();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Hello, IsShownInTheReadmeWordForWord) {
  const std::string readme = content("README.md");
  const std::string program = content("examples/hello.cpp");
  const std::string licence = "// SPDX-License-Identifier: Apache-2.0\n\n";
  ASSERT_EQ(program.substr(0, licence.size()), licence);
  EXPECT_THAT(readme, HasSubstr("```cpp\n" + program.substr(licence.size()) + "```\n"));
  EXPECT_THAT(readme, HasSubstr("```toml\n" + content("examples/limits.toml") + "```\n"));
}

TEST(Blocking, IsShownInTheReadmeWordForWord) {
  const std::string program = content("examples/blocking.cpp");
  const std::string licence = "// SPDX-License-Identifier: Apache-2.0\n\n";
  ASSERT_EQ(program.substr(0, licence.size()), licence);
  EXPECT_THAT(content("README.md"), HasSubstr("```cpp\n" + program.substr(licence.size()) + "```\n"));
}

TEST(Blocking, AnswersEachRequest) {
  const test::SegmentName segment;
  const test::Ran ran = test::run(
      {WEIR_BIN_DIR "/blocking", WEIR_SOURCE_DIR "/examples/limits.toml"}, {},
      {{"WEIR_SEGMENT__NAME", segment.str()}, {"WEIR_OPERATIONS__CAPTION_GENERATION__USER__RATE", "3/day"}});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(count(ran.out, "200 picture "), 3U) << ran.out;
  EXPECT_EQ(count(ran.out, "503 not now: throttled\n"), 1U) << ran.out;
}

TEST(Hello, SharesTheLimitsOfTheReadmeAmongItsProcesses) {
  const test::SegmentName segment;
  const auto run = [&] {
    return test::run({WEIR_BIN_DIR "/hello", WEIR_SOURCE_DIR "/examples/limits.toml"}, {},
                     {{"WEIR_SEGMENT__NAME", segment.str()},
                      {"WEIR_OPERATIONS__CAPTION_GENERATION__USER__CONCURRENT", "64"},
                      {"WEIR_OPERATIONS__CAPTION_GENERATION__USER__RATE", "3/day"}});
  };
  const test::Ran first = run();
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(count(first.out, " makes a caption\n"), 3U) << first.out;
  EXPECT_EQ(count(first.out, " answers 429, Retry-After: "), 17U) << first.out;
  EXPECT_EQ(count(run().out, " makes a caption\n"), 0U) << "a second copy joins the first";
}

TEST(Hello, EndsWithAMessageWhereItsFileIsMissing) {
  const test::Ran ran = test::run({WEIR_BIN_DIR "/hello", "no-such-limits.toml"});
  EXPECT_EQ(ran.status, 128 + SIGABRT);
  EXPECT_THAT(ran.err, HasSubstr("weir: no-such-limits.toml: No such file"));
}

}  // namespace
}  // namespace weir
