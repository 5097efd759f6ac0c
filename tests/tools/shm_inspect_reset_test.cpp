// SPDX-License-Identifier: Apache-2.0

// shm-inspect reset: which limits begin again, and which stay.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weir/limiter.hpp"

#include "support/terminal.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using testing::HasSubstr;

class ShmInspectReset : public ShmInspect {
 protected:
  void SetUp() override {
    for (const char* user : {"alice", "bob"}) ASSERT_TRUE(limiter_.admit("upload", {.user = user}));
    ASSERT_TRUE(limiter_.admit("search"));
  }

  [[nodiscard]] bool upload_is_full() const { return is_full("operations.upload.rate"); }
  [[nodiscard]] bool search_is_full() const { return is_full("operations.search.rate"); }
  [[nodiscard]] int exhausted_users() const {
    return named(status().at("user_limits"), "operations.upload.user.rate").at("exhausted");
  }

  Limiter limiter_ = open();

 private:
  [[nodiscard]] bool is_full(std::string_view name) const {
    const json limit = named(status().at("shared_limits"), name);
    return limit.at("available") == limit.at("burst");
  }
};

TEST_F(ShmInspectReset, GivesEverybodyEverythingBack) {
  const Ran ran = on_segment({"reset", "--yes"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "segment \"" + segment_.str() + "\": reset 3 shared limits and 2 entries of users\n");
  EXPECT_TRUE(upload_is_full());
  EXPECT_TRUE(search_is_full());
  EXPECT_EQ(exhausted_users(), 0);
}

TEST_F(ShmInspectReset, OfAnOperationLeavesTheOthers) {
  const Ran ran = on_segment({"reset", "--yes", "--operation", "upload"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_TRUE(upload_is_full());
  EXPECT_FALSE(search_is_full());
  EXPECT_EQ(exhausted_users(), 0);
}

TEST_F(ShmInspectReset, OfAUserLeavesTheOthersAndTheSharedLimits) {
  const Ran ran = on_segment({"reset", "--yes", "--user", "alice"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_FALSE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 1);
}

TEST_F(ShmInspectReset, RefusesAnOperationTogetherWithAUser) {
  const Ran ran = on_segment({"reset", "--operation", "upload", "--user", "alice"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--operation and --user together; give one of them"));
  EXPECT_FALSE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 2);
}

TEST_F(ShmInspectReset, IsNotDoneWithoutATerminalUnlessToldSo) {
  const Ran ran = on_segment({"reset"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "shm-inspect: not done, since there is no terminal to ask on: segment \"" +
                         segment_.str() +
                         "\": reset 3 shared limits and 2 entries of users; if that is meant, give --yes as "
                         "well\n");
  EXPECT_EQ(ran.out, "");
  EXPECT_FALSE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 2);
}

TEST_F(ShmInspectReset, AsksOnATerminal) {
  const std::vector<std::string> command{WEIR_BIN_DIR "/shm-inspect", "--segment", segment_.str(), "reset"};
  test::Terminal no(command);
  ASSERT_TRUE(no.wait_for("reset 3 shared limits and 2 entries of users? This cannot be taken back. [y/N] "));
  no.type("n\n");
  EXPECT_EQ(no.end(), 1);
  EXPECT_FALSE(upload_is_full());
  test::Terminal yes(command);
  ASSERT_TRUE(yes.wait_for("[y/N] "));
  yes.type("y\n");
  EXPECT_EQ(yes.end(), 0);
  EXPECT_TRUE(upload_is_full());
  EXPECT_EQ(exhausted_users(), 0);
}

TEST_F(ShmInspectReset, NamesTheOperationThatWasMeant) {
  const Ran ran = on_segment({"reset", "--operation", "uplaod"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("did you mean \"upload\"?"));
}

}  // namespace
}  // namespace weir
