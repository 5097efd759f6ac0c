// SPDX-License-Identifier: Apache-2.0

// How many instructions a decision takes, as callgrind counts them: a number that does not depend on how busy
// the machine is, so it may gate. What they cost in time: docs/performance.md.

#include <cstdint>
#include <gmock/gmock.h>
#include <string>

#include "support/process.hpp"

namespace weir {
namespace {

constexpr std::uint64_t kFew = 1'000;
constexpr std::uint64_t kMany = 11'000;

/// All instructions of a run; 0: callgrind did not say.
std::uint64_t instructions_of(const std::string& kind, std::uint64_t decisions, bool counted) {
  std::vector<std::string> command{
      "valgrind", "--tool=callgrind",       "--callgrind-out-file=/dev/null", WEIR_BIN_DIR "/decisions",
      kind,       std::to_string(decisions)};
  if (counted) command.emplace_back("counted");
  const test::Ran ran = test::run(command);
  constexpr std::string_view kLabel = "Collected : ";
  const std::size_t at = ran.err.find(kLabel);
  if (ran.status != 0 || at == std::string::npos) {
    ADD_FAILURE() << "status " << ran.status << "\n" << ran.err;
    return 0;
  }
  return std::stoull(ran.err.substr(at + kLabel.size()));
}

/// Instructions of admit_at() and succeed(), the loop around them included.
double instructions_of_one(const std::string& kind, bool counted = false) {
  const std::uint64_t few = instructions_of(kind, kFew, counted);
  const std::uint64_t many = instructions_of(kind, kMany, counted);
  const double each = static_cast<double>(many - few) / static_cast<double>(kMany - kFew);
  testing::Test::RecordProperty(kind, std::to_string(each));
  std::printf("%s: %.1f instructions\n", kind.c_str(), each);
  return each;
}

bool has_valgrind() {
  return test::run({"valgrind", "--version"}).status == 0;
}

#define SKIP_WITHOUT_VALGRIND() \
  if (!has_valgrind()) GTEST_SKIP() << "valgrind is not installed, so nothing counts the instructions"

TEST(InstructionsOfADecision, UnderOneRateAreFew) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("one_rate"), 205);
}

TEST(InstructionsOfADecision, OfARefusalAreFew) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("refusal"), 210);
}

TEST(InstructionsOfADecision, UnderARateOfEachUserAreFew) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("rate_of_a_user"), 305);
}

TEST(InstructionsOfADecision, UnderFiveLimitsAndABreakerAreFew) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("five_limits_and_a_breaker"), 649);
}

TEST(InstructionsOfADecision, UnderACooldownOfEachUserAreNotMany) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("cooldown_of_a_user"), 843);
}

TEST(InstructionsOfADecision, UnderABreakerWithASlowRateAreNotMany) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("breaker_with_a_slow_rate"), 1990);
}

TEST(InstructionsOfADecision, ThatCountARequestAreFew) {
  SKIP_WITHOUT_VALGRIND();
  for (const char* const kind : {"one_rate", "five_limits_and_a_breaker"})
    EXPECT_LE(instructions_of_one(kind, true) - instructions_of_one(kind), 110) << kind;
}

TEST(InstructionsOfADecision, ThatCountARefusalAreFew) {
  SKIP_WITHOUT_VALGRIND();
  EXPECT_LE(instructions_of_one("refusal", true) - instructions_of_one("refusal"), 61);
}

}  // namespace
}  // namespace weir
