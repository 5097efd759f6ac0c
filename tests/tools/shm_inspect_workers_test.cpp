// SPDX-License-Identifier: Apache-2.0

// What shm-inspect shows of workers and permits, and how it returns what dead workers held.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "weir/limiter.hpp"

#include "support/process.hpp"
#include "support/segment_name.hpp"
#include "support/worker_process.hpp"

namespace weir {
namespace {

using nlohmann::json;
using test::Ran;
using test::WorkerProcess;
using ::testing::HasSubstr;

class ShmInspectWorkers : public ::testing::Test {
 protected:
  ShmInspectWorkers() {
    Config config;
    config.segment.name = name.str();
    config.segment.users = 100;
    config.operations["work"].shared.concurrent = 5;
    config.operations["work"].user.concurrent = 2;
    auto opened = Limiter::open(config);
    EXPECT_TRUE(opened) << opened.error().message();
    limiter.emplace(std::move(*opened));
  }

  Ran inspect(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {WEIR_BIN_DIR "/shm-inspect", "--segment", name.str()});
    return test::run(std::move(arguments));
  }
  json look() const { return json::parse(inspect({"workers", "--json"}).out); }
  static const json& worker_of(const json& seen, pid_t pid) {
    for (const json& worker : seen["workers"]) {
      if (worker["pid"] == pid) return worker;
    }
    static const json nobody;
    return nobody;
  }

  test::SegmentName name;
  std::optional<Limiter> limiter;
};

TEST_F(ShmInspectWorkers, ShowsWhoHoldsWhatAndReturnsWhatTheDeadHeld) {
  std::vector<Admission> held;
  WorkerProcess worker([&] {
    for (int i = 0; i < 2; ++i) held.push_back(limiter->admit("work", {.user = "alice"}));
  });
  const Admission mine = limiter->admit("work");
  json seen = look();
  EXPECT_EQ(worker_of(seen, worker.pid())["permits"], 4) << seen;
  EXPECT_EQ(worker_of(seen, worker.pid())["dead"], false);
  EXPECT_EQ(worker_of(seen, ::getpid())["permits"], 1);
  EXPECT_EQ(seen["shared_permits"][0]["in_use"], 3);
  EXPECT_EQ(seen["user_permits"][0]["users"], 1);
  EXPECT_THAT(inspect({"status"}).out, HasSubstr("operations.work.concurrent"));

  worker.kill();
  EXPECT_EQ(worker_of(look(), worker.pid())["dead"], true);
  EXPECT_THAT(inspect({"workers"}).out, HasSubstr("dead: shm-inspect reap"));
  EXPECT_THAT(inspect({"reap"}).out, HasSubstr("1 dead workers swept, 4 permits taken back"));
  EXPECT_THAT(inspect({"reap"}).out, HasSubstr("0 dead workers swept, 0 permits taken back"));
  seen = look();
  EXPECT_EQ(seen["shared_permits"][0]["in_use"], 1) << "mine stays";
  EXPECT_EQ(seen["user_permits"][0]["in_use"], 0);
  EXPECT_EQ(seen["swept"]["permits"], 4);
}

TEST_F(ShmInspectWorkers, ReapOfNothingIsNoSuchSegment) {
  limiter.reset();
  ASSERT_TRUE(remove_segment(name.str()));
  EXPECT_EQ(inspect({"reap"}).status, 3);
  EXPECT_EQ(inspect({"workers"}).status, 3);
}

}  // namespace
}  // namespace weir
