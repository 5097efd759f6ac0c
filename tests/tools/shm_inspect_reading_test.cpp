// SPDX-License-Identifier: Apache-2.0

// All commands of shm-inspect that look, on segments whose workers do not answer, which they may only read, or which are
// damaged. What each word of a segment may do: inspect/damage_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "support/worker_process.hpp"
#include "tools/forged_header.hpp"
#include "tools/shm_inspect.hpp"

namespace weir {
namespace {

using test::Ran;
using test::WorkerProcess;
using testing::AllOf;
using testing::HasSubstr;

class ShmInspectReading : public ShmInspect {
 protected:
  [[nodiscard]] std::vector<std::vector<std::string>> commands() const {
    return {{"status"},  {"status", "--json"},     {"workers"},     {"users"}, {"user", "alice"}, {"history"},
            {"metrics"}, {"diff", saved_, saved_}, {"diff", saved_}};
  }
  void save() { saved_ = write("saved.json", on_segment({"status", "--json"}).out); }

  void expect_all_work(const std::vector<std::string>& before = {}) const {
    for (const std::vector<std::string>& command : commands()) {
      std::vector<std::string> all = before;
      all.insert(all.end(), {WEIR_BIN_DIR "/shm-inspect", "--segment", segment_.str()});
      all.insert(all.end(), command.begin(), command.end());
      const Ran ran = test::run(all);
      EXPECT_EQ(ran.status, 0) << command[0] << ": " << ran.err;
      EXPECT_NE(ran.out, "") << command[0];
    }
  }

  std::string saved_;
};

TEST_F(ShmInspectReading, WorksWhileEveryWorkerIsStoppedOrDead) {
  (void)open();
  const auto body = [&](int ready) {
    Limiter limiter = *Limiter::attach(segment_.str());
    (void)limiter.admit("upload", {.user = "alice"});
    WorkerProcess::say_ready(ready);
    for (;;) (void)limiter.admit("search", {.user = "bob"});
  };
  WorkerProcess stopped(body);
  WorkerProcess dead(body);
  ASSERT_TRUE(stopped.ready() && dead.ready());
  stopped.signal(SIGSTOP);
  dead.kill_lazily();
  save();
  expect_all_work();
  EXPECT_THAT(on_segment({"workers"}).out, HasSubstr("dead: shm-inspect reap"));
  dead.kill();
  stopped.kill();
  expect_all_work();
}

TEST_F(ShmInspectReading, NeedsNoRightToWrite) {
  Limiter limiter = open();
  ASSERT_TRUE(limiter.admit("upload", {.user = "alice"}));
  save();
  // The file of root is read by another user; of another user by its owner, who has no right to write either.
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(::chmod(segment_.path().c_str(), is_root ? 0644 : 0400), 0);
  std::vector<std::string> as;
  if (is_root) {
    as = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    for (const char* path : {directory_.c_str(), saved_.c_str()}) ASSERT_EQ(::chmod(path, 0755), 0);
    std::vector<std::string> version = as;
    version.insert(version.end(), {WEIR_BIN_DIR "/shm-inspect", "--version"});
    if (test::run(version).status != 0) GTEST_SKIP() << "another user cannot run " << WEIR_BIN_DIR;
  }
  expect_all_work(as);
}

TEST_F(ShmInspectReading, SaysWhatIsDamagedAndListsTheSegmentAllTheSame) {
  const Limiter limiter = open();
  save();
  forge_header(segment_, [](detail::Header& header) { header.section_count += 1; });
  for (const std::vector<std::string>& command : commands()) {
    if (command.size() == 3) continue;  // looks at files alone
    const Ran ran = on_segment(command);
    EXPECT_EQ(ran.status, 5) << command[0] << ": " << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("damaged: "), HasSubstr("shm-inspect --segment "))) << command[0];
  }
  const Ran list = inspect({"list"});
  EXPECT_EQ(list.status, 0) << list.err;
  EXPECT_THAT(list.out, HasSubstr("? segment \"" + segment_.str() + "\": damaged: "));
}

}  // namespace
}  // namespace weir
