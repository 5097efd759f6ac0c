// SPDX-License-Identifier: Apache-2.0

// shm-inspect --watch: the same again and again, on a terminal and elsewhere.

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "support/terminal.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using test::Terminal;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ShmInspectWatch : public ShmInspect {
 protected:
  [[nodiscard]] std::vector<std::string> command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {WEIR_BIN_DIR "/shm-inspect", "--segment", segment_.str()});
    return arguments;
  }
};

/// The lines of the last whole screen that was drawn; none if there is none yet.
std::vector<std::string> last_screen(const std::string& output) {
  constexpr std::string_view kHome = "\x1b[H";
  constexpr std::string_view kEnd = "\x1b[J";
  const std::size_t end = output.rfind(kEnd);
  if (end == output.npos) return {};
  const std::size_t begin = output.rfind(kHome, end);
  std::string screen = output.substr(begin + kHome.size(), end - begin - kHome.size());
  for (const std::string_view invisible : {"\x1b[K", "\x1b[31m", "\x1b[1;31m", "\x1b[0m", "\r"}) {
    for (std::size_t at = 0; (at = screen.find(invisible, at)) != screen.npos;)
      screen.erase(at, invisible.size());
  }
  std::vector<std::string> lines;
  std::istringstream in(screen);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST_F(ShmInspectWatch, RedrawsOneScreenInPlaceInTheSizeOfTheTerminal) {
  const Limiter limiter = open();
  Terminal terminal(command({"status", "--watch=0.1"}), 10, 40);
  const termios before = terminal.mode();
  const auto shows = [&](std::size_t rows, std::size_t columns) {
    return terminal.wait_until([&](const std::string& output) {
      const std::vector<std::string> screen = last_screen(output);
      return screen.size() == rows && screen[1].starts_with("uuid") &&
             std::ranges::all_of(screen, [&](const std::string& line) { return line.size() <= columns; }) &&
             std::ranges::any_of(screen, [&](const std::string& line) { return line.size() == columns; });
    });
  };
  EXPECT_TRUE(shows(10, 40)) << terminal.output();
  EXPECT_THAT(terminal.output(), StartsWith("\x1b[?1049h"));
  EXPECT_THAT(last_screen(terminal.output()).back(), HasSubstr(" more lines do not fit; every 100ms"));
  terminal.resize(6, 30);
  EXPECT_TRUE(shows(6, 30)) << terminal.output();
  terminal.resize(100, 120);
  EXPECT_TRUE(terminal.wait_until([](const std::string& output) {
    const std::vector<std::string> screen = last_screen(output);
    return screen.size() == 100 && screen.back().starts_with("every 100ms");
  })) << terminal.output();

  terminal.type("\x03");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_THAT(terminal.output(), EndsWith("\x1b[?7h\x1b[?25h\x1b[?1049l"));
  EXPECT_EQ(terminal.mode().c_lflag, before.c_lflag);
}

TEST_F(ShmInspectWatch, GivesTheTerminalBackWhenItIsStoppedAndTakesItAgain) {
  const Limiter limiter = open();
  // A shell with jobs, which takes the terminal back from a job that stops.
  Terminal terminal({"sh", "-mc", "\"$0\" --segment \"$1\" workers --watch=0.1; echo stopped; fg; echo ended",
                     WEIR_BIN_DIR "/shm-inspect", segment_.str()});
  ASSERT_TRUE(terminal.wait_for("\x1b[J"));
  terminal.type("\x1a");
  ASSERT_TRUE(terminal.wait_for("stopped"));
  const std::string until = terminal.output().substr(0, terminal.output().find("stopped"));
  EXPECT_NE(until.rfind("\x1b[?1049l"), until.npos);
  ASSERT_TRUE(terminal.wait_until([&](const std::string& output) {
    const std::size_t again = output.find("\x1b[?1049h", until.size());
    return again != output.npos && output.find("\x1b[J", again) != output.npos;
  })) << terminal.output();
  terminal.type("\x03");
  EXPECT_TRUE(terminal.wait_for("ended"));
}

TEST_F(ShmInspectWatch, WritesPlainLinesWhereThereIsNoTerminal) {
  const Limiter limiter = open();
  for (const char* what : {"status", "workers", "users", "user alice", "history", "list"}) {
    const Ran ran = test::run({"sh", "-c",
                               std::string("\"$0\" --segment \"$1\" ") + what +
                                   " --watch=0.1 | awk '/^--- /{if (++n == 4) exit} {print}'",
                               WEIR_BIN_DIR "/shm-inspect", segment_.str()});
    EXPECT_THAT(ran.out, StartsWith("--- 2")) << what;
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), 'Z') >= 3, true) << what << ran.out;
    EXPECT_THAT(ran.out, Not(HasSubstr("\x1b"))) << what;
    EXPECT_EQ(ran.err, "") << what;
  }
}

TEST_F(ShmInspectWatch, WritesOneObjectALineAsJson) {
  const Limiter limiter = open();
  for (const char* what : {"status", "workers", "users", "user alice", "history", "list"}) {
    const Ran ran = test::run(
        {"sh", "-c", std::string("\"$0\" --segment \"$1\" ") + what + " --watch=0.1 --json | head -n 3",
         WEIR_BIN_DIR "/shm-inspect", segment_.str()});
    std::istringstream lines(ran.out);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) EXPECT_TRUE(json::accept(line)) << line;
    EXPECT_EQ(count, 3) << what;
  }
}

TEST_F(ShmInspectWatch, GoesOnWhileTheSegmentIsAwayAndSaysThatItWasReplaced) {
  for (const bool as_json : {false, true}) {
    std::vector<std::string> arguments{"workers", "--watch=0.1"};
    if (as_json) arguments.emplace_back("--json");
    Terminal terminal(command(arguments), 24, 80, {{"TERM", "dumb"}});
    const char* const found = as_json ? "\"pid\"" : "\nSLOT";
    ASSERT_TRUE(terminal.wait_for("no such segment"));
    {
      const Limiter limiter = open();
      ASSERT_TRUE(terminal.wait_for(found)) << terminal.output();
      ASSERT_TRUE(remove_segment(segment_.str()));
    }
    terminal.clear();
    ASSERT_TRUE(terminal.wait_for("no such segment")) << terminal.output();
    {
      const Limiter limiter = open();
      ASSERT_TRUE(terminal.wait_for("the segment was replaced by another one of the same name"));
      ASSERT_TRUE(terminal.wait_for(found)) << terminal.output();
    }
    EXPECT_THAT(terminal.output(), Not(HasSubstr("\x1b")));
    terminal.type("\x03");
    EXPECT_EQ(terminal.end(), 0);
    ASSERT_TRUE(remove_segment(segment_.str()));
  }
}

TEST_F(ShmInspectWatch, EndsAtOnceWhereTheCommandLineIsWrong) {
  const Limiter limiter = open();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"users", "--operation", "nosuch", "--watch"},
                                             {"status", "--watch=0"},
                                             {"status", "--watch=0.05"},
                                             {"status", "--watch=60days"},
                                             {"status", "--watch=-1"},
                                             {"status", "--watch=nan"},
                                             {"status", "--watch=often"}}) {
    const Ran ran = on_segment(arguments);
    EXPECT_EQ(ran.status, 2) << arguments.back() << ": " << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(ShmInspectWatch, DoesNotTakeTheNextWordForItsInterval) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  const Ran ran = test::run({"sh", "-c", "\"$0\" --segment \"$1\" user --watch alice | head -n 2",
                             WEIR_BIN_DIR "/shm-inspect", segment_.str()});
  EXPECT_THAT(ran.out, HasSubstr("\nUSER")) << ran.err;
}

}  // namespace
}  // namespace weir
