// SPDX-License-Identifier: Apache-2.0

// shm-inspect events: what happened, and what happens next.

#include <array>
#include <csignal>
#include <cstdio>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "support/process.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(ShmInspect, EventsAreShownInTheOrderOfTheHost) {
  const Limiter limiter = open();
  ASSERT_TRUE(set_limit(segment_.str(), "operations.upload.rate", "7/hour"));
  ASSERT_TRUE(reset_limits(segment_.str()));
  const Ran ran = on_segment({"events"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const std::string pid = " pid " + std::to_string(::getpid()) + " uid " + std::to_string(::getuid()) + ")\n";
  const std::size_t first = ran.out.find("  joined         joined in slot 0  (");
  const std::size_t second = ran.out.find("  changed        generation 1: operations.upload.rate  (");
  const std::size_t third = ran.out.find("  reset          everything: ");
  EXPECT_NE(third, ran.out.npos) << ran.out;
  EXPECT_LT(first, second) << ran.out;
  EXPECT_LT(second, third) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr(pid));
}

TEST_F(ShmInspect, EventsAsJsonHaveTheKeysThatAreDescribed) {
  const Limiter limiter = open();
  ASSERT_TRUE(set_limit(segment_.str(), "operations.upload.rate", "7/hour"));
  const Ran ran = on_segment({"events", "--json", "--kind", "changed", "--kind", "reset"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const json all = json::parse(ran.out);
  EXPECT_EQ(all.at("last"), 2);
  ASSERT_THAT(all.at("events"), SizeIs(1));
  const json& event = all.at("events").at(0);
  EXPECT_EQ(event.at("number"), 2);
  EXPECT_EQ(event.at("kind"), "changed");
  EXPECT_EQ(event.at("severity"), "note");
  EXPECT_EQ(event.at("subject"), "operations.upload.rate");
  EXPECT_EQ(event.at("text"), "generation 1: operations.upload.rate");
  EXPECT_EQ(event.at("value"), 1);
  EXPECT_EQ(event.at("pid"), ::getpid());
  EXPECT_EQ(event.at("uid"), ::getuid());
  EXPECT_THAT(event.at("when").get<std::string>(), StartsWith("20"));
}

TEST_F(ShmInspect, EventsOfAnUnknownKindOrTimeAreRefused) {
  const Limiter limiter = open();
  const Ran kind = on_segment({"events", "--kind", "tripped"});
  EXPECT_EQ(kind.status, 2);
  EXPECT_THAT(kind.err, HasSubstr("there are no events of the kind \"tripped\"; use joined, left,"));
  const Ran since = on_segment({"events", "--since", "soon"});
  EXPECT_EQ(since.status, 2);
  EXPECT_THAT(since.err, HasSubstr("--since: "));
  EXPECT_EQ(on_segment({"events", "--since", "10min", "--last", "1"}).status, 0);
}

/// The tool while it follows, with a pipe for its output.
class Follower {
 public:
  explicit Follower(std::vector<std::string> arguments) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addclose(&actions, ends[0]);
    ::posix_spawn_file_actions_addclose(&actions, ends[1]);
    arguments.insert(arguments.begin(), WEIR_BIN_DIR "/shm-inspect");
    EXPECT_EQ(::posix_spawn(&child_, arguments[0].c_str(), &actions, nullptr,
                            test::exec_array(arguments).data(), environ),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() {
    close_output();
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      (void)test::wait_for_exit(child_);
    }
  }

  /// Reads on until the output contains `text`. @return false if it does not within a minute
  bool shows(std::string_view text) {
    while (out_.find(text) == out_.npos) {
      pollfd file{output_, POLLIN, 0};
      std::array<char, 4096> block{};
      if (::poll(&file, 1, 60'000) <= 0) return false;
      const ssize_t got = ::read(output_, block.data(), block.size());
      if (got <= 0) return false;
      out_.append(block.data(), static_cast<std::size_t>(got));
    }
    return true;
  }
  void close_output() {
    if (output_ >= 0) ::close(output_);
    output_ = -1;
  }
  int ends_after(int signal) {
    if (signal != 0) ::kill(child_, signal);
    const pid_t child = std::exchange(child_, -1);
    return test::wait_for_exit(child);
  }
  [[nodiscard]] const std::string& out() const { return out_; }

 private:
  pid_t child_ = -1;
  int output_ = -1;
  std::string out_;
};

TEST_F(ShmInspect, FollowingShowsWhatHappensNextAndEndsCleanlyOnASignal) {
  const Limiter limiter = open();
  for (const int signal : {SIGINT, SIGTERM}) {
    Follower follower({"--segment", segment_.str(), "events", "--follow"});
    ASSERT_TRUE(follower.shows("joined in slot 0"));
    const std::string value = signal == SIGINT ? "8/hour" : "9/hour";
    const Result<ChangeReport> report = set_limit(segment_.str(), "operations.upload.rate", value);
    ASSERT_TRUE(report) << report.error().message();
    const std::string line = "generation " + std::to_string(report->generation) + ": operations.upload.rate";
    ASSERT_TRUE(follower.shows(line)) << follower.out();
    EXPECT_EQ(follower.out().find(line), follower.out().rfind(line)) << "once";
    EXPECT_EQ(follower.ends_after(signal), 0);
  }
}

TEST_F(ShmInspect, FollowingAsJsonWritesALineForEachEvent) {
  const Limiter limiter = open();
  Follower follower({"--segment", segment_.str(), "events", "--follow", "--json", "--kind", "changed"});
  ASSERT_TRUE(set_limit(segment_.str(), "operations.upload.rate", "8/hour"));
  ASSERT_TRUE(follower.shows("\n"));
  const json event = json::parse(follower.out().substr(0, follower.out().find('\n')));
  EXPECT_EQ(event.at("kind"), "changed");
  EXPECT_EQ(follower.ends_after(SIGTERM), 0);
}

TEST_F(ShmInspect, FollowingEndsCleanlyWhenItsReaderHasGone) {
  const Limiter limiter = open();
  Follower follower({"--segment", segment_.str(), "events", "--follow"});
  ASSERT_TRUE(follower.shows("joined in slot 0"));
  follower.close_output();
  EXPECT_EQ(follower.ends_after(0), 0);
}

TEST_F(ShmInspect, FollowingASegmentThatIsRemovedSaysSo) {
  {
    const Limiter limiter = open();
    Follower follower({"--segment", segment_.str(), "events", "--follow"});
    ASSERT_TRUE(follower.shows("joined in slot 0"));
    ASSERT_TRUE(remove_segment(segment_.str()));
    EXPECT_EQ(follower.ends_after(0), 3);
  }
}

}  // namespace
}  // namespace weir
