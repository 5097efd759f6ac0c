// SPDX-License-Identifier: Apache-2.0

// weir-replay against the plain model over policies of every kind that refuses in a replay, and logs in whole
// seconds.
//
// A policy, its log and the order of the log's lines come from a seed. Compared are the decision on every
// request, the limit that it names and the wait; where a policy has a cooldown, the decision alone.

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <random>
#include <set>
#include <span>

#include "replay_model.hpp"
#include "weir_replay.hpp"

namespace weir::test {
namespace {

constexpr std::string_view kKinds[] = {"rate", "log", "ring", "fixed", "weighted"};

// All divide a day, so that windows lie as on the calendar wherever the limiter's own time begins.
constexpr int kLengths[] = {1, 2, 5, 10, 15, 30, 60, 90, 120, 300, 600, 3600, 86'400};

// Seconds since 1970: the beginning of time, a leap day, the end of 32 bits, another century, an hour before
// a day ends.
constexpr std::int64_t kStarts[] = {
    0, 1'456'704'000, 2'147'483'640, 4'102'444'799, 1'431'856'000, 1'709'164'799, 951'782'390, 1'764'028'800};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int below(int bound) { return static_cast<int>(engine_() % static_cast<unsigned>(bound)); }
  bool one_in(int n) { return below(n) == 0; }
  template <class List>
  auto of(const List& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(std::size(list))))];
  }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

using SharedKinds = std::span<const ModelKind>;  // of windows over all users

struct Policy {
  std::vector<ModelLimit> limits;  ///< in the model's order
  std::string toml;
  bool has_cooldown = false;
};

// The limits of one scope, added to those of all. Names in lists of one have no number.
void add_scope(Random& random, const std::string& scope, bool per_user, bool needed, SharedKinds shared_kinds,
               Policy& policy) {
  std::vector<ModelLimit> rates;
  std::vector<ModelLimit> windows;
  for (int i = random.below(3); i > 0; --i) {
    const int period = random.of(kLengths);
    rates.push_back({"", per_user, 1 + random.below(9), period, 1 + random.below(6)});
  }
  for (int i = random.below(3); i > 0 || (needed && rates.empty() && windows.empty()); --i) {
    const ModelKind user_kinds[] = {ModelKind::weighted, ModelKind::fixed};
    const ModelKind kind = per_user ? random.of(user_kinds) : random.of(shared_kinds);
    windows.push_back(
        {"", per_user, 1 + random.below(kind == ModelKind::ring ? 20 : 12), random.of(kLengths), 1, kind});
  }
  if (rates.empty() && windows.empty()) return;
  std::vector<std::string> rate_texts;
  std::vector<std::string> window_texts;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    rates[i].name = scope + (rates.size() == 1 ? ".rate" : fmt::format(".rate[{}]", i));
    rate_texts.push_back(fmt::format("\"{}/{}s burst {}\"", static_cast<int>(rates[i].count),
                                     static_cast<int>(rates[i].period_s), static_cast<int>(rates[i].burst)));
  }
  for (std::size_t i = 0; i < windows.size(); ++i) {
    windows[i].name = scope + (windows.size() == 1 ? ".window" : fmt::format(".window[{}]", i));
    window_texts.push_back(fmt::format(
        R"({{ limit = "{} per {}s", kind = "{}" }})", static_cast<int>(windows[i].count),
        static_cast<int>(windows[i].period_s), kKinds[static_cast<std::size_t>(windows[i].kind)]));
  }
  policy.toml += fmt::format("[{}]\n", scope);
  if (!rates.empty()) policy.toml += fmt::format("rate = [{}]\n", fmt::join(rate_texts, ", "));
  if (!windows.empty()) policy.toml += fmt::format("window = [{}]\n", fmt::join(window_texts, ", "));
  policy.limits.insert(policy.limits.end(), rates.begin(), rates.end());
  policy.limits.insert(policy.limits.end(), windows.begin(), windows.end());
  if (!random.one_in(4)) return;
  const ModelLimit cooldown{scope + ".cooldown", per_user, 1 + random.below(3),
                            random.of(kLengths), 1,        ModelKind::cooldown};
  policy.toml += fmt::format("cooldown = {{ for = \"{}s\", refusals = {} }}\n",
                             static_cast<int>(cooldown.period_s), static_cast<int>(cooldown.count));
  policy.limits.push_back(cooldown);
  policy.has_cooldown = true;
}

// The order in which, of limits that take equally long, the first is named.
int rank(const ModelLimit& limit) {
  if (limit.kind == ModelKind::cooldown) return 4;
  if (limit.kind == ModelKind::rate) return limit.per_user ? 1 : 0;
  return limit.per_user ? 2 : 3;
}

Policy random_policy(Random& random, SharedKinds shared_kinds) {
  Policy policy;
  policy.toml = "[segment]\nusers = 1000\n[operations.other]\nrate = \"1/day\"\n";
  add_scope(random, "global", false, false, shared_kinds, policy);
  add_scope(random, "global.user", true, false, shared_kinds, policy);
  add_scope(random, "operations.http", false, true, shared_kinds, policy);
  add_scope(random, "operations.http.user", true, false, shared_kinds, policy);
  std::stable_sort(policy.limits.begin(), policy.limits.end(),
                   [](const ModelLimit& a, const ModelLimit& b) { return rank(a) < rank(b); });
  return policy;
}

std::string time_text(std::int64_t second) {
  const std::time_t time = second;
  std::tm calendar{};
  ::gmtime_r(&time, &calendar);
  char text[40];
  (void)std::strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S +0000", &calendar);
  return text;
}

// Requests in the order of their times: bursts within a second, and pauses up to two days.
std::vector<std::string> random_log(Random& random) {
  std::vector<std::string> lines;
  std::int64_t now = random.of(kStarts);
  for (int i = 0; i < 400; ++i) {
    if (random.one_in(3)) now += random.below(4);
    if (random.one_in(25)) now += random.of(kLengths);
    if (random.one_in(100)) now += random.below(2 * 86'400);
    lines.push_back(log_line(fmt::format("192.0.2.{}", random.below(4)), time_text(now)));
  }
  return lines;
}

class WeirReplayPolicies : public WeirReplay {
 protected:
  void expect_same_decisions(unsigned seeds, SharedKinds shared_kinds);

  // @return the kinds of limits that refused.
  std::set<ModelKind> expect_same_decisions(const Policy& policy, const std::vector<std::string>& sorted,
                                            const std::string& log) {
    std::set<ModelKind> refused_by;
    ReplayModel model(policy.limits);
    const std::vector<std::string> decided = decisions(policy.toml, log);
    EXPECT_EQ(decided.size(), sorted.size());
    for (std::size_t i = 0; i < std::min(decided.size(), sorted.size()); ++i) {
      const auto expected = model.decide(sorted[i]);
      const std::string found = decided[i].substr(decided[i].find(' ') + 1);
      const bool admitted = found.starts_with("admitted ");
      EXPECT_EQ(admitted, expected->refused_by.empty()) << i << ' ' << found << "; model: " << expected->text;
      if (!policy.has_cooldown) {
        EXPECT_EQ(found, expected->text) << i;
      }
      for (const ModelLimit& limit : policy.limits) {
        if (limit.name == expected->refused_by) refused_by.insert(limit.kind);
      }
      if (HasFailure()) break;
    }
    return refused_by;
  }
};

// As many policies as there are seeds, each with a log of its own, in order or not.
void WeirReplayPolicies::expect_same_decisions(unsigned seeds, SharedKinds shared_kinds) {
  std::map<ModelKind, int> refusing;  // how many policies had a limit of that kind that refused
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    Random random(seed);
    const Policy policy = random_policy(random, shared_kinds);
    const std::vector<std::string> sorted = random_log(random);
    std::vector<std::string> lines = sorted;
    if (random.one_in(2)) {
      // Lines of one second stay in their order, or another request would come first.
      std::vector<std::vector<std::string>> seconds;
      for (const std::string& line : lines) {
        const auto time = [](const std::string& text) { return text.substr(text.find('['), 28); };
        if (seconds.empty() || time(seconds.back().back()) != time(line)) seconds.emplace_back();
        seconds.back().push_back(line);
      }
      std::shuffle(seconds.begin(), seconds.end(), random.engine());
      lines.clear();
      for (const auto& second : seconds) lines.insert(lines.end(), second.begin(), second.end());
    }
    std::string log;
    for (const std::string& line : lines) log += line;
    for (const ModelKind kind : expect_same_decisions(policy, sorted, log)) ++refusing[kind];
    ASSERT_FALSE(HasFailure()) << "seed " << seed << '\n' << policy.toml;
  }
  std::set<ModelKind> kinds(shared_kinds.begin(), shared_kinds.end());
  kinds.insert({ModelKind::rate, ModelKind::fixed, ModelKind::weighted, ModelKind::cooldown});
  for (const ModelKind kind : kinds) {
    EXPECT_GT(refusing[kind], 10) << "a kind that never bites is not tested";
  }
}

TEST_F(WeirReplayPolicies, AreDecidedAsByThePlainModel) {
  constexpr ModelKind kShared[] = {ModelKind::log, ModelKind::ring, ModelKind::fixed};
  expect_same_decisions(200, kShared);
}

}  // namespace
}  // namespace weir::test
