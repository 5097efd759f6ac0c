// SPDX-License-Identifier: Apache-2.0

// weir-replay against an independent model, decision by decision, to the nanosecond.
//
// The lines are decided in the order in which they stand, a late one at the time of the one before it.
// The limits are chosen so that each refuses some request. All earn a token in whole nanoseconds: the library
// rounds others up by a fraction of one, and then keeps another limit than the model.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <set>

#include "replay_model.hpp"
#include "weir_replay.hpp"

namespace weir::test {
namespace {

// The configuration that holds these limits.
std::string to_toml(const std::vector<ModelLimit>& limits) {
  std::map<std::string, std::vector<std::string>> tables;
  for (const ModelLimit& limit : limits) {
    tables[limit.name.substr(0, limit.name.find(".rate"))].push_back(
        fmt::format("\"{}/{}s burst {}\"", static_cast<long>(limit.count), static_cast<long>(limit.period_s),
                    static_cast<long>(limit.burst)));
  }
  std::string toml = "[operations.other]\nrate = \"1/day\"\n";
  for (const auto& [name, rates] : tables) {
    toml += fmt::format("[{}]\nrate = [{}]\n", name, fmt::join(rates, ", "));
  }
  return toml;
}

class WeirReplayModel : public WeirReplay {
 protected:
  void expect_same_decisions(const std::vector<ModelLimit>& limits, const std::string& log) {
    ReplayModel model(limits);
    const std::vector<std::string> decided = decisions(to_toml(limits), log, {"--no-sort"});
    std::set<std::string> refused_by;
    std::uint64_t number = 0;
    auto next = decided.begin();
    for (const std::string& line : lines_of(log)) {
      ++number;
      const auto expected = model.decide(line);
      if (!expected) continue;
      ASSERT_NE(next, decided.end()) << "weir-replay stops before line " << number;
      ASSERT_EQ(*next, fmt::format("{} {}", number, expected->text)) << line;
      if (!expected->refused_by.empty()) refused_by.insert(expected->refused_by);
      ++next;
    }
    EXPECT_EQ(decided.end() - next, 0) << "decisions beyond the log";
    std::set<std::string> all;
    for (const ModelLimit& limit : limits) all.insert(limit.name);
    EXPECT_EQ(refused_by, all) << "a limit that never bites is not tested";
  }
};

TEST_F(WeirReplayModel, AgreesOnEachRequestOfARealLog) {
  const std::string path = WEIR_SOURCE_DIR "/../shared/data/apache_access.log";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "NOT TESTED AGAINST A REAL LOG: put an access log of a real site at " << path;
  }
  const std::string log = read_file(path);
  ASSERT_EQ(lines_of(log).size(), 10'000u);
  expect_same_decisions({{"global.rate[0]", false, 1, 1, 40},
                         {"global.rate[1]", false, 30, 3600, 300},
                         {"operations.http.rate[0]", false, 30, 60, 45},
                         {"operations.http.rate[1]", false, 36, 3600, 120},
                         {"global.user.rate", true, 24, 86'400, 20},
                         {"operations.http.user.rate[0]", true, 10, 60, 6},
                         {"operations.http.user.rate[1]", true, 10, 3600, 12}},
                        log);
}

TEST_F(WeirReplayModel, AgreesOnEachRequestOfTheSampleLog) {
  expect_same_decisions({{"global.rate", false, 2, 1, 10},
                         {"operations.http.rate", false, 250, 3600, 70},
                         {"global.user.rate", true, 50, 86'400, 15},
                         {"operations.http.user.rate[0]", true, 30, 60, 8},
                         {"operations.http.user.rate[1]", true, 120, 3600, 14}},
                        read_file(WEIR_SOURCE_DIR "/examples/replay/access.log"));
}

TEST_F(WeirReplayModel, NamesTheFirstOfLimitsThatTakeEquallyLong) {
  const std::string noon = log_line("a", "17/May/2015:12:00:00 +0000");
  const auto refusal = [&](std::string_view config) { return decisions(config, noon + noon).at(1); };
  EXPECT_EQ(refusal("[global]\nrate = \"1/s\"\n[operations.http]\nrate = [\"1/s\", \"2/2s burst 1\"]\n"
                    "[global.user]\nrate = \"1/s\"\n[operations.http.user]\nrate = \"1/s\"\n"),
            "2 throttled global.rate 1000000000");
  EXPECT_EQ(refusal("[operations.http]\nrate = [\"1/s\", \"2/2s burst 1\"]\n[global.user]\nrate = \"1/s\"\n"),
            "2 throttled operations.http.rate[0] 1000000000");
  EXPECT_EQ(refusal("[global.user]\nrate = \"1/s\"\n[operations.http.user]\nrate = \"1/s\"\n"
                    "[operations.http]\nrate = \"9/s\"\n"),
            "2 throttled global.user.rate 1000000000");
}

}  // namespace
}  // namespace weir::test
