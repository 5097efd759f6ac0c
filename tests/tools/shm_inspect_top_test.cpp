// SPDX-License-Identifier: Apache-2.0

// shm-inspect top, on a terminal that tmux emulates.

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "weir/limiter.hpp"

#include "support/tmux.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using test::Ran;
using test::Tmux;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ShmInspectTop : public ShmInspect {
 protected:
  void SetUp() override {
    if (!Tmux::is_there())
      GTEST_SKIP() << "there is no tmux (Debian: tmux), so the screen of top is not tested";
    if (inspect({"top", "--help"}).out.find("built without") != std::string::npos)
      GTEST_SKIP() << "top was built without ncurses (Debian: libncurses-dev)";
    limiter_.emplace(open());
    // Its rate is spent, so an operator should look at it.
    for (const char* user : {"alice", "bob"}) ASSERT_TRUE(limiter_->admit("upload", {.user = user}));
  }

  [[nodiscard]] std::string command(const std::string& before = "") const {
    return before + " " WEIR_BIN_DIR "/shm-inspect --segment " + segment_.str() + " top --every 0.1";
  }
  static std::size_t widest(const std::string& screen) {
    std::istringstream lines(screen);
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) widest = std::max(widest, line.size());
    return widest;
  }
  /// The first line that holds a text; empty if none does.
  static std::string line_with(const std::string& screen, std::string_view text) {
    std::istringstream lines(screen);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(text) != line.npos) return line;
    }
    return {};
  }

  std::optional<Limiter> limiter_;
};

TEST_F(ShmInspectTop, ShowsOperationsInEightyColumnsAndMarksThoseInTrouble) {
  const Tmux tmux(directory_, command());
  ASSERT_TRUE(tmux.shows(">search")) << tmux.screen();
  const std::string screen = tmux.screen();
  EXPECT_THAT(screen, StartsWith("weir " + segment_.str() + "  up "));
  EXPECT_THAT(line_with(screen, "need attention"), StartsWith("1 of 2 need attention  admitted "));
  EXPECT_THAT(line_with(screen, "OPERATION "), StartsWith(" OPERATION            BREAKER"));
  EXPECT_THAT(line_with(screen, "upload"), StartsWith("!upload"));
  EXPECT_LE(widest(screen), 80U);
}

TEST_F(ShmInspectTop, OpensAnOperationAndGoesBack) {
  const Tmux tmux(directory_, command());
  ASSERT_TRUE(tmux.shows(">search"));
  tmux.press({"Down"});
  ASSERT_TRUE(tmux.shows(">upload"));
  tmux.press({"k"});
  ASSERT_TRUE(tmux.shows(">search"));
  tmux.press({"G", "Enter"});
  ASSERT_TRUE(tmux.shows("6/hour burst 2")) << tmux.screen();
  const std::string page = tmux.screen();
  EXPECT_THAT(line_with(page, "6/hour"), HasSubstr("[##########] 2/2"));
  EXPECT_THAT(line_with(page, "4/hour burst 1"), HasSubstr("2 users, 2 exhausted"));
  EXPECT_THAT(page, HasSubstr("\nUSER "));
  tmux.press({"Escape"});
  EXPECT_TRUE(tmux.shows("OPERATION "));
  tmux.press({"u"});
  EXPECT_TRUE(tmux.shows("RETRY AFTER"));
  tmux.press({"w"});
  EXPECT_TRUE(tmux.shows("SLOT "));
  tmux.press({"?"});
  EXPECT_TRUE(tmux.shows("Up, k"));
  tmux.press({"BSpace"});
  EXPECT_TRUE(tmux.shows("OPERATION "));
}

TEST_F(ShmInspectTop, SortsAndFilters) {
  const Tmux tmux(directory_, command());
  const auto is_first = [&](std::string_view first, std::string_view second) {
    return tmux.wait_until([&](const std::string& screen) {
      const std::size_t a = screen.find(first);
      const std::size_t b = screen.find(second);
      return a != screen.npos && b != screen.npos && a < b;
    });
  };
  ASSERT_TRUE(is_first("search", "upload"));
  EXPECT_TRUE(tmux.shows(" by OPERATION "));
  tmux.press({"r"});
  EXPECT_TRUE(is_first("upload", "search"));
  EXPECT_TRUE(tmux.shows(" by OPERATION (reversed)"));
  tmux.press({"r", ">"});
  EXPECT_TRUE(tmux.shows(" by BREAKER "));
  EXPECT_TRUE(is_first("upload", "search")) << "those in trouble first";
  tmux.press({"/", "s", "e", "a"});
  EXPECT_TRUE(tmux.shows("filter: sea_"));
  EXPECT_TRUE(tmux.hides("upload"));
  tmux.press({"Enter"});
  EXPECT_TRUE(tmux.shows("1 hidden"));
  tmux.press({"/", "Enter"});
  EXPECT_TRUE(tmux.shows("upload"));
  tmux.press({"i"});
  EXPECT_TRUE(tmux.hides("search")) << "nothing is spent of it";
}

TEST_F(ShmInspectTop, FollowsTheSizeOfTheTerminal) {
  const Tmux tmux(directory_, command());
  ASSERT_TRUE(tmux.shows("P99"));
  EXPECT_EQ(line_with(tmux.screen(), "TIGHTEST"), "");
  tmux.resize(140, 30);
  EXPECT_TRUE(tmux.shows("TIGHTEST LIMIT")) << tmux.screen();
  EXPECT_TRUE(tmux.shows("[##########] rate 2/2"));
  tmux.resize(50, 10);
  EXPECT_TRUE(tmux.hides("P99")) << tmux.screen();
  EXPECT_TRUE(tmux.shows("ADMIT/s"));
  tmux.resize(12, 4);
  EXPECT_TRUE(tmux.hides("ADMIT/s"));
  tmux.resize(80, 24);
  EXPECT_TRUE(tmux.shows("P99"));
}

TEST_F(ShmInspectTop, ShowsWhatChangesUnlessItIsPausedAndThatTheSegmentIsAway) {
  const Tmux tmux(directory_, command());
  ASSERT_TRUE(tmux.shows("change 0"));
  ASSERT_EQ(on_segment({"set", "operations.search.rate", "61/hour"}).status, 0);
  EXPECT_TRUE(tmux.shows("change 1"));
  tmux.press({"Space"});
  EXPECT_TRUE(tmux.shows("PAUSED"));
  tmux.press({"Space"});
  EXPECT_TRUE(tmux.hides("PAUSED"));
  tmux.press({"+"});
  tmux.press({"-"});
  EXPECT_TRUE(tmux.shows("every 200ms"));
  ASSERT_TRUE(remove_segment(segment_.str()));
  EXPECT_TRUE(tmux.shows("! segment \"" + segment_.str() + "\": no such segment"));
  EXPECT_TRUE(tmux.shows(">search")) << "the last that was seen";
}

TEST_F(ShmInspectTop, GivesTheTerminalBackHoweverItEnds) {
  for (const char* key : {"q", "C-c"}) {
    const Tmux tmux(directory_, "echo before;" + command());
    ASSERT_TRUE(tmux.shows(">search"));
    tmux.press({key});
    EXPECT_TRUE(tmux.shows("ended 0")) << key;
    EXPECT_THAT(tmux.screen(), StartsWith("before\n")) << key;
  }
}

TEST_F(ShmInspectTop, HasNoColoursWhereTheyAreNotWanted) {
  const auto has_red = [&](const std::string& before) {
    const Tmux tmux(directory_, command(before));
    EXPECT_TRUE(tmux.shows(">search"));
    return tmux.coloured_screen().find("\x1b[1m\x1b[31m") != std::string::npos;
  };
  EXPECT_TRUE(has_red("env -u NO_COLOR"));
  EXPECT_FALSE(has_red("env NO_COLOR=1"));
}

TEST_F(ShmInspectTop, IsTheStatusAgainAndAgainWithoutATerminal) {
  const Ran ran =
      test::run({"sh", "-c", "\"$0\" --segment \"$1\" top --every 0.1 | awk '/^--- /{if (++n == 3) exit} 1'",
                 WEIR_BIN_DIR "/shm-inspect", segment_.str()});
  EXPECT_THAT(ran.out, StartsWith("--- 2"));
  EXPECT_THAT(ran.out, HasSubstr("\nsegment \"" + segment_.str() + "\"  layout "));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace weir
