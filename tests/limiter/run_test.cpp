// SPDX-License-Identifier: Apache-2.0

// Work under limits: what comes back, what counts as a failure, and what stands in for a refusal.

#include "weir/run.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace weir {
namespace {

struct FaultOfCaller : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Reply {
  int status = 200;
};

class Run : public ::testing::Test {
 protected:
  void SetUp() override {
    const Config config = *parse_config(
        "[operations.work]\nconcurrent = 1\nbreaker = { failures = 2, recovery = \"1h\" }\n", "test");
    auto opened = Limiter::open_private(config);
    ASSERT_TRUE(opened) << opened.error().message();
    limiter.emplace(*std::move(opened));
    work = *limiter->operation("work");
    limiter->admit(work).fail();
  }
  /// Whether there was one more failure. A success would have made the first one forgotten.
  [[nodiscard]] bool failed() { return limiter->peek(work).verdict == Verdict::circuit_open; }

  std::optional<Limiter> limiter;
  Operation work{};
};

const auto throw_fault = []() -> Reply { throw FaultOfCaller("caption is empty"); };

TEST_F(Run, GivesAVoidResultThatSaysWhetherTheWorkWasDone) {
  int done = 0;
  EXPECT_TRUE(limiter->run(work, {}, [&] { ++done; }));
  const Admission only_one = limiter->admit(work);
  const RunResult<void> refused = limiter->run(work, {}, [&] { ++done; });
  EXPECT_FALSE(refused);
  EXPECT_EQ(refused.decision.verdict, Verdict::shed);
  EXPECT_EQ(done, 1);
}

TEST_F(Run, GivesAValueThatCanOnlyBeMoved) {
  auto result = limiter->run(work, {}, [] { return std::make_unique<int>(7); });
  ASSERT_TRUE(result);
  EXPECT_EQ(**result.value, 7);
}

TEST_F(Run, GivesACopyOfWhatAReferenceRefersTo) {
  std::string text = "before";
  const RunResult<std::string> result = limiter->run(work, {}, [&]() -> const std::string& { return text; });
  text = "after";
  EXPECT_EQ(result.value, "before");
}

TEST_F(Run, CountsEachExceptionAsAFailure) {
  EXPECT_THROW((void)limiter->run(work, {}, [] { throw 7; }), int);
  EXPECT_TRUE(failed());
}

TEST_F(Run, CountsEachResultAsASuccess) {
  EXPECT_TRUE(limiter->run(work, {}, [] { return Reply{500}; }));
  limiter->admit(work).fail();
  EXPECT_FALSE(failed());
}

TEST_F(Run, AsksAboutExceptions) {
  const auto by_type = [](const std::exception& thrown) {
    return dynamic_cast<const FaultOfCaller*>(&thrown) == nullptr;
  };
  EXPECT_THROW((void)limiter->run(work, {}, throw_fault, by_type), FaultOfCaller);
  EXPECT_FALSE(failed());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW((void)limiter->run(
                     work, {}, [] { throw std::runtime_error("down"); }, by_type),
                 std::runtime_error);
  }
  EXPECT_TRUE(failed());
}

TEST_F(Run, AsksAboutExceptionsOfAnyType) {
  const auto not_a_number = [](const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (int) {
      return false;
    } catch (...) {
      return true;
    }
  };
  EXPECT_THROW((void)limiter->run(
                   work, {}, [] { throw 7; }, not_a_number),
               int);
  EXPECT_FALSE(failed());
  for (int i = 0; i < 2; ++i)
    EXPECT_THROW((void)limiter->run(
                     work, {}, [] { throw 'c'; }, not_a_number),
                 char);
  EXPECT_TRUE(failed());
}

TEST_F(Run, CountsAnExceptionThatCannotBeAskedAboutAsAFailure) {
  EXPECT_THROW((void)limiter->run(
                   work, {}, [] { throw 7; }, [](const std::exception&) { return false; }),
               int);
  EXPECT_TRUE(failed());
}

TEST_F(Run, AsksAboutResultsAndExceptions) {
  const Failures by_status{[](const Reply& reply) { return reply.status >= 500; },
                           [](const std::exception&) { return false; }};
  EXPECT_THROW((void)limiter->run(work, {}, throw_fault, by_status), FaultOfCaller);
  EXPECT_TRUE(limiter->run(
      work, {}, [] { return Reply{404}; }, by_status));
  EXPECT_FALSE(failed());
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(limiter->run(
        work, {}, [] { return Reply{503}; }, by_status));
  EXPECT_TRUE(failed());
}

TEST_F(Run, LetsWorkCountForNothing) {
  const auto ignored = [](const std::exception&) { return Outcome::ignored; };
  EXPECT_THROW((void)limiter->run(work, {}, throw_fault, ignored), FaultOfCaller);
  EXPECT_FALSE(failed());
  limiter->admit(work).fail();
  EXPECT_TRUE(failed()) << "the failure before was forgotten, as after a success";
}

TEST_F(Run, CountsWhatItCannotJudgeAsAFailure) {
  const auto throws = [](const Reply&) -> bool { throw std::logic_error("cannot judge"); };
  EXPECT_THROW((void)limiter->run(
                   work, {}, [] { return Reply{}; }, throws),
               std::logic_error);
  EXPECT_TRUE(failed());
}

TEST_F(Run, GivesThePermitBackBeforeItReturns) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter->run(work, {}, [] { return Reply{}; }));
  EXPECT_TRUE(limiter->admit(work));
}

TEST_F(Run, FallsBackOnlyIfItIsRefused) {
  const auto cached = [](const Decision& decision) { return std::string(to_string(decision.verdict)); };
  const auto answer = [] { return std::string("fresh"); };
  EXPECT_EQ(with_fallback(limiter->run(work, {}, answer), cached), "fresh");
  const Admission only_one = limiter->admit(work);
  EXPECT_EQ(with_fallback(limiter->run(work, {}, answer), cached), "shed");
  int refusals = 0;
  const auto count = [&](const Decision&) { ++refusals; };
  with_fallback(limiter->run(work, {}, [] {}), count);
  EXPECT_EQ(refusals, 1);
  with_fallback(RunResult<void>{}, count);
  EXPECT_EQ(refusals, 1);
  EXPECT_EQ(*with_fallback(RunResult<std::unique_ptr<int>>{{}, std::make_unique<int>(7)},
                           [](const Decision&) { return nullptr; }),
            7);
}

}  // namespace
}  // namespace weir
