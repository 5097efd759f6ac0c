// SPDX-License-Identifier: Apache-2.0

// A failure that is taken for a value ends the program with its message, and not with whatever is in memory.

#include "weir/error.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>

namespace weir {
namespace {

Result<std::string> failure() {
  return Error{Errc::not_found, "\"limits.toml\": not there", "name another"};
}

TEST(Result, HoldsAValue) {
  Result<std::string> result = std::string("value");
  EXPECT_EQ(*result, "value");
  EXPECT_EQ(result.value(), "value");
  EXPECT_EQ(result->size(), 5U);
  EXPECT_EQ(*std::as_const(result), "value");
  EXPECT_EQ(std::as_const(result)->size(), 5U);
  EXPECT_EQ(std::move(result).value(), "value");
  Result<std::unique_ptr<int>> moved = std::make_unique<int>(7);
  EXPECT_EQ(*std::move(moved).value(), 7);
  Result<void>().value();
}

TEST(Result, GoesOnWithItsValueOrStaysTheFailureItIs) {
  int calls = 0;
  const auto length = [&calls](std::string text) -> Result<std::size_t> {
    ++calls;
    if (text.empty()) return Error{Errc::invalid_argument, "empty", ""};
    return text.size();
  };
  EXPECT_EQ(Result<std::string>("value").and_then(length).value(), 5U);
  EXPECT_EQ(Result<std::string>("").and_then(length).error().what, "empty");
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(failure().and_then(length).error().message(), "\"limits.toml\": not there; name another");
  EXPECT_EQ(calls, 2);
  Result<std::unique_ptr<int>> seven = std::make_unique<int>(7);
  EXPECT_EQ(
      std::move(seven).and_then([](std::unique_ptr<int> moved) -> Result<int> { return *moved; }).value(), 7);
}

TEST(ResultDeathTest, OfAFailureEndsWithItsMessageHoweverItIsTaken) {
  constexpr const char* kMessage = "weir: \"limits.toml\": not there; name another";
  Result<std::string> result = failure();
  EXPECT_DEATH((void)result.value(), kMessage);
  EXPECT_DEATH((void)*result, kMessage);
  EXPECT_DEATH((void)result->size(), kMessage);
  EXPECT_DEATH((void)*std::as_const(result), kMessage);
  EXPECT_DEATH((void)std::as_const(result)->size(), kMessage);
  EXPECT_DEATH((void)std::as_const(result).value(), kMessage);
  EXPECT_DEATH((void)failure().value(), kMessage);
  EXPECT_DEATH((void)*failure(), kMessage);
  EXPECT_DEATH(Result<void>(result.error()).value(), kMessage);
}

TEST(ResultDeathTest, OfASuccessHasNoError) {
  EXPECT_DEATH((void)Result<int>(1).error(), "a success");
  EXPECT_DEATH((void)Result<void>().error(), "a success");
}

}  // namespace
}  // namespace weir
