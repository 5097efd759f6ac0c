// SPDX-License-Identifier: Apache-2.0

// No exception leaves the library, not even for lack of memory, and errors pass through TRY.

#include "base/result.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::detail {
namespace {

template <class Exception>
Result<int> guarded_throw(Exception exception) {
  return guarded([&]() -> Result<int> { throw std::move(exception); });
}

TEST(Guarded, ReturnsWhatTheCallReturns) {
  const auto failing = [] { return Result<void>(fail(Errc::conflict, "taken", "wait")); };
  EXPECT_EQ(guarded([]() -> Result<int> { return 7; }).value(), 7);
  EXPECT_EQ(guarded(failing).error().message(), "taken; wait");
  EXPECT_EQ(*guarded([]() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); }).value(), 7);
}

TEST(Guarded, MakesAnErrorOfWhatWasThrown) {
  const Result<int> thrown = guarded_throw(std::runtime_error("the reason, longer than a short string"));
  ASSERT_FALSE(thrown);
  EXPECT_EQ(thrown.error().code, Errc::system);
  EXPECT_EQ(thrown.error().what, "the reason, longer than a short string");
}

TEST(Guarded, KnowsThatMemoryIsMissing) {
  EXPECT_EQ(guarded_throw(std::bad_alloc()).error().what, "out of memory");
}

TEST(Guarded, LetsNothingOutThatIsNotAStandardException) {
  const Result<int> thrown = guarded_throw(42);
  ASSERT_FALSE(thrown);
  EXPECT_EQ(thrown.error().code, Errc::system);
  EXPECT_NE(thrown.error().what, "");
}

Result<std::string> named(bool known) {
  if (known) return std::string("captions");
  return fail(Errc::not_found, "no such name");
}
Result<void> allowed(bool yes) {
  if (yes) return {};
  return fail(Errc::permission, "not allowed");
}

Result<std::size_t> length_of_name(bool known, bool yes) {
  WEIR_TRY_VOID(allowed(yes));
  WEIR_TRY(const std::string name, named(known));
  WEIR_TRY(auto copy, Result<std::unique_ptr<std::string>>(std::make_unique<std::string>(name)));
  return copy->size();
}

TEST(Try, GoesOnWithTheValue) {
  EXPECT_EQ(length_of_name(true, true).value(), 8U);
}

TEST(Try, ReturnsTheErrorOfTheFirstFailure) {
  EXPECT_EQ(length_of_name(false, true).error().what, "no such name");
  EXPECT_EQ(length_of_name(false, false).error().what, "not allowed");
}

}  // namespace
}  // namespace weir::detail
