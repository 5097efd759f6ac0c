// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <gmock/gmock.h>
#include <string>
#include <string_view>

#include "weir/config.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Config parsed(std::string_view toml) {
  const Result<Config> config = parse_config(toml, "limits.toml");
  EXPECT_TRUE(config) << config.error().message() << "\nin\n" << toml;
  return config ? *config : Config{};
}

/// Parses operation x, which consists of these lines.
OperationPolicy operation(const std::string& lines) {
  return parsed("[operations.x]\n" + lines).operations["x"];
}

std::string refused(const std::string& toml) {
  const Result<Config> config = parse_config(toml, "limits.toml");
  EXPECT_FALSE(config) << "accepted:\n" << toml;
  return config ? "" : config.error().message();
}

TEST(Limits, RateIsOneOrAListOfTextsAndTables) {
  const Rate slow{30, 1min, 10};
  Rate shadow{60, 1min, 60};
  shadow.mode = Mode::shadow;
  Rate candidate{20, 1min, 20};
  candidate.mode = Mode::candidate;
  EXPECT_THAT(operation("rate = '30/min burst 10'").shared.rates, ElementsAre(slow));
  EXPECT_THAT(operation("rate = { limit = '30/min burst 10' }").shared.rates, ElementsAre(slow));
  EXPECT_THAT(operation("rate = { limit = '60/min', shadow = true }").shared.rates, ElementsAre(shadow));
  EXPECT_THAT(
      operation("rate = ['30/min burst 10', { limit = '60/min', shadow = true, candidate = '20/min' }, "
                "'30/min burst 10']")
          .shared.rates,
      ElementsAre(slow, shadow, candidate, slow));
  EXPECT_THAT(operation("user.rate = { limit = '30/min burst 10', candidate = '20/min' }").user.rates,
              ElementsAre(slow, candidate));
}

TEST(Limits, AQueueStandsInTheTableOfItsOperation) {
  const Queue all{100, 30s, QueueOrder::lifo, {0, 1, 2, 3}, true};
  const std::string lines =
      "queue = 100\ntimeout = '30s'\norder = 'lifo'\nshares = [0, 1, 2, 3]\npush_out = true\n";
  EXPECT_EQ(operation(lines).queue, all);
  EXPECT_EQ(parsed("[global]\n" + lines).global.queue, all);
  EXPECT_EQ(operation("").queue, Queue{});
  const Config config = parsed("[global]\n" + lines + "[operations.x]\nqueue = 7\n[operations.y]\n");
  EXPECT_EQ(parsed(to_toml(config)), config);
  // Each key is inherited by itself, also by an operation that has no queue: a live change may give it one.
  const Config inherited =
      parsed("[defaults]\n" + lines + "[operations.x]\nqueue = 0\n[operations.y]\ntimeout = '5s'\n");
  Queue none = all;
  none.seats = 0;
  EXPECT_EQ(inherited.operations.at("x").queue, none);
  Queue shorter = all;
  shorter.timeout = 5s;
  EXPECT_EQ(inherited.operations.at("y").queue, shorter);
  EXPECT_EQ(parsed(to_toml(inherited)), inherited);
}

TEST(Limits, AQueueThatCannotBeIsRefused) {
  const auto queue = [](const std::string& line) { return refused("[operations.x]\n" + line); };
  EXPECT_THAT(queue("queue = 1025"), HasSubstr("operations.x.queue: 1025: out of range; use 0 to 1024"));
  EXPECT_THAT(queue("queue = -1"), HasSubstr("operations.x.queue: -1: out of range"));
  EXPECT_THAT(
      queue("timeout = '2h'"),
      HasSubstr(
          "operations.x.timeout: the length is out of range; use whole milliseconds, from 1 ms to 1 h"));
  EXPECT_THAT(queue("timeout = '0s'"), HasSubstr("operations.x.timeout: the length is out of range"));
  EXPECT_THAT(queue("timeout = '1500us'"), HasSubstr("operations.x.timeout: the length is out of range"));
  EXPECT_THAT(queue("order = 'random'"), HasSubstr("not one of the choices; use \"fifo\" or \"lifo\""));
  EXPECT_THAT(queue("shares = 1"),
              HasSubstr("operations.x.shares: expected a list of 4 numbers, found an integer"));
  EXPECT_THAT(queue("shares = [1, 2, 3]"), HasSubstr("operations.x.shares: a list of 3; write 4 numbers"));
  EXPECT_THAT(queue("shares = [1, 2, 3, 11]"),
              HasSubstr("operations.x.shares: these are 17 turns together; use at most 16 together"));
  EXPECT_THAT(queue("shares = [1, 2, 3, 256]"), HasSubstr("operations.x.shares[3]: 256: out of range"));
  EXPECT_THAT(queue("shares = [1, 2, 3, '4']"), HasSubstr("operations.x.shares[3]: expected an integer"));
  EXPECT_THAT(queue("push_out = 1"), HasSubstr("operations.x.push_out: expected true or false"));
}

TEST(Limits, LeaseIsANumberOrOff) {
  const auto lease = [](const std::string& value) {
    return operation("rate = { limit = '100000/s burst 10000', lease = " + value + " }")
        .shared.rates[0]
        .lease;
  };
  EXPECT_EQ(lease("8"), 8U);
  EXPECT_EQ(lease("'off'"), 0U);
  EXPECT_EQ(operation("rate = '100000/s burst 10000'").shared.rates[0].lease, std::nullopt);
}

TEST(Limits, LeaseIsWrittenAsItIsRead) {
  const Config config = parsed(
      "[operations.x]\nrate = [{ limit = '100000/s', lease = 8 }, { limit = '9000/s', lease = 'off' }]\n");
  const std::string text = to_toml(config);
  EXPECT_THAT(text, HasSubstr("lease = 8"));
  EXPECT_THAT(text, HasSubstr("lease = \"off\""));
  EXPECT_EQ(parsed(text), config);
}

TEST(Limits, LeaseThatCannotBeIsRefusedWithTheNextStep) {
  const auto with = [](const std::string& lines) { return refused("[operations.x]\n" + lines); };
  EXPECT_THAT(with("rate = { limit = '1000/s', lease = 'on' }"), HasSubstr("use \"off\" or 1 to 16383"));
  EXPECT_THAT(with("rate = { limit = '1000/s', lease = 0 }"), HasSubstr("use \"off\" or 1 to 16383"));
  EXPECT_THAT(with("rate = { limit = '1000/s burst 6400', lease = 6 }"),
              HasSubstr("rate.lease: 6 is too much"));
  EXPECT_THAT(with("rate = { limit = '1000/s burst 6400', lease = 6 }"), HasSubstr("use at most 5"));
  EXPECT_THAT(with("rate = { limit = '1/s burst 5', lease = 1 }"), HasSubstr("use a larger burst"));
  EXPECT_THAT(with("rate = { limit = '1000/s burst 6400', lease = 4, shadow = true }"),
              HasSubstr("only counted"));
  EXPECT_THAT(with("user.rate = { limit = '1000/s burst 6400', lease = 4 }"), HasSubstr("for one user"));
}

TEST(Limits, WindowIsOneOrAListOfTextsAndTables) {
  EXPECT_THAT(operation("window = '100 per 1min'").shared.windows, ElementsAre(Window{100, 1min}));
  EXPECT_THAT(
      operation("window = [{ limit = '5 per 10s', kind = 'log', candidate = '7 per 10s' }, '1_000 per day']")
          .shared.windows,
      ElementsAre(Window{5, 10s, WindowKind::log}, Window{7, 10s, WindowKind::log, Mode::candidate},
                  Window{1'000, 24h}));
  EXPECT_THAT(operation("user.window = { limit = '5 per h', kind = 'fixed', shadow = true }").user.windows,
              ElementsAre(Window{5, 1h, WindowKind::fixed, Mode::shadow}));
}

TEST(Limits, WindowHasEveryKind) {
  const std::pair<const char*, WindowKind> kinds[] = {{"automatic", WindowKind::automatic},
                                                      {"log", WindowKind::log},
                                                      {"ring", WindowKind::ring},
                                                      {"fixed", WindowKind::fixed}};
  for (const auto& [name, kind] : kinds) {
    const auto windows =
        operation("window = { limit = '5 per s', kind = '" + std::string(name) + "' }").shared.windows;
    EXPECT_THAT(windows, ElementsAre(Window{5, 1s, kind}));
  }
  const auto user = operation("user.window = { limit = '5 per s', kind = 'weighted' }").user.windows;
  EXPECT_THAT(user, ElementsAre(Window{5, 1s, WindowKind::weighted}));
}

TEST(Limits, ConcurrentIsANumberOrATable) {
  EXPECT_EQ(operation("concurrent = 20").shared.concurrent, Concurrency(20));
  Concurrency both(20);
  both.shadow = true;
  both.candidate = 30;
  EXPECT_EQ(operation("concurrent = { limit = 20, shadow = true, candidate = 30 }").shared.concurrent, both);
  EXPECT_EQ(operation("user.concurrent = { limit = 3 }").user.concurrent, Concurrency(3));
}

TEST(Limits, CooldownIsADurationOrATable) {
  EXPECT_EQ(operation("rate = '1/s'\ncooldown = '5min'").shared.cooldown, (Cooldown{5min}));
  EXPECT_EQ(
      operation("user.window = '5 per 1s'\nuser.cooldown = { for = '300s', refusals = 3, shadow = true }")
          .user.cooldown,
      (Cooldown{300s, 3, true}));
  EXPECT_EQ(operation("cooldown = '0s'").shared.cooldown, Cooldown{});
  EXPECT_EQ(operation("cooldown = { for = '0s', shadow = true }").shared.cooldown, Cooldown{});
}

TEST(Limits, BreakerHasAllItsParts) {
  const OperationPolicy policy = operation(R"(
[operations.x.breaker]
failures = 3
failure_rate = 0.5
slow_rate = 1
slow_call = "2s"
minimum_calls = 20
window = "10s"
recovery = "30s"
recovery_factor = 2.0
max_recovery = "10min"
jitter = 0.1
probes = 2
successes = 3
probe_timeout = "15s"
shadow = true
)");
  Breaker breaker;
  breaker.failures = 3;
  breaker.failure_rate = 0.5;
  breaker.slow_rate = 1;
  breaker.slow_call = 2s;
  breaker.minimum_calls = 20;
  breaker.window = 10s;
  breaker.recovery = 30s;
  breaker.recovery_factor = 2;
  breaker.max_recovery = 10min;
  breaker.jitter = 0.1;
  breaker.probes = 2;
  breaker.successes = 3;
  breaker.probe_timeout = 15s;
  breaker.shadow = true;
  EXPECT_EQ(policy.breaker, breaker);
}

TEST(Limits, BreakerMayCountCallsInsteadOfTime) {
  const OperationPolicy policy =
      operation("[operations.x.breaker]\nfailure_rate = 0.5\nwindow_calls = 100\nrecovery = '30s'");
  EXPECT_EQ(policy.breaker->window_calls, 100U);
}

TEST(Limits, OverridesOfUsersAreExemptOrHaveTheirOwn) {
  const Config config = parsed(R"(
[overrides.users."health check"]
exempt = true
[overrides.users.partner]
rate = "100/s"
window = "1000 per 1min"
concurrent = 50
cooldown = "1min"
)");
  EXPECT_TRUE(config.users.at("health check").exempt);
  const Limits& partner = config.users.at("partner").limits;
  EXPECT_FALSE(config.users.at("partner").exempt);
  EXPECT_THAT(partner.rates, ElementsAre(Rate{100, 1s, 100}));
  EXPECT_THAT(partner.windows, ElementsAre(Window{1'000, 1min}));
  EXPECT_EQ(partner.concurrent, Concurrency(50));
  EXPECT_EQ(partner.cooldown, Cooldown{1min});
}

constexpr const char* kDefaults = R"(
[defaults]
rate = "1/s"
window = "10 per 1min"
concurrent = 5
cooldown = "1min"
breaker = { failures = 5, recovery = "60s" }
user.rate = "2/s"
user.window = "20 per 1min"
user.concurrent = 2
user.cooldown = "2min"
)";

TEST(Defaults, ReachEveryKeyThatIsLeftOut) {
  const Config config = parsed(std::string(kDefaults) + "[operations.x]");
  const OperationPolicy& policy = config.operations.at("x");
  for (const Limits& limits : {policy.shared, policy.user}) {
    EXPECT_EQ(limits.rates.size(), 1U);
    EXPECT_EQ(limits.windows.size(), 1U);
    EXPECT_NE(limits.concurrent.limit, 0U);
    EXPECT_NE(limits.cooldown.length, 0s);
  }
  ASSERT_TRUE(policy.breaker);
  EXPECT_EQ(policy.breaker->recovery, 60s);
}

TEST(Defaults, AreSwitchedOffByFalse) {
  const Config config = parsed(std::string(kDefaults) + R"(
[operations.x]
rate = false
window = false
concurrent = false
cooldown = false
breaker = false
user = { rate = false, window = false, concurrent = false, cooldown = false }
)");
  EXPECT_EQ(config.operations.at("x"), OperationPolicy{});
}

TEST(Defaults, OfABreakerAreTakenWholeOrNotAtAll) {
  const Config config =
      parsed(std::string(kDefaults) +
             "[operations.x]\nbreaker = { failure_rate = 0.5, window = '1min', recovery = '1s' }");
  EXPECT_EQ(config.operations.at("x").breaker->failures, 0U);
}

TEST(Defaults, AreCheckedEvenWhereNobodyTakesThem) {
  EXPECT_THAT(refused("defaults.rate = '1/x'"), HasSubstr("limits.toml:1:17: defaults.rate: "));
  EXPECT_THAT(refused("defaults.rte = '1/s'"),
              HasSubstr("defaults.rte: unknown key; did you mean \"rate\"?"));
}

TEST(LimitError, NamesKeyProblemAndNextStep) {
  const struct {
    const char* line;
    const char* error;
  } cases[] = {
      {"window = '100/1min'",
       "1:23: operations.x.window: \"100/1min\": no \"per\" after the limit; write it as"},
      {"window = '0 per 1min'", "the limit must be at least 1"},
      {"window = '5 per 1.5min'", "the period must be a whole number; write \"100 per 90s\" instead of"},
      {"window = { limit = '5 per s', kind = 'rong' }",
       "operations.x.window.kind: \"rong\": not one of the choices; did you mean \"ring\"?"},
      {"window = { kind = 'log' }",
       "operations.x.window: \"limit\" is missing; add limit = ... to the table"},
      {"window = [5]", "operations.x.window[0]: expected a window, found an integer"},
      {"rate = [{ limits = '1/s' }]", "operations.x.rate[0].limits: unknown key; did you mean \"limit\"?"},
      {"rate = { limit = 5 }", "operations.x.rate.limit: expected a rate, found an integer"},
      {"rate = { limit = '1/s', candidate = '1/x' }", "operations.x.rate.candidate: \"1/x\": unknown period"},
      {"rate = { limit = '1/s', kind = 'log' }", "operations.x.rate.kind: unknown key"},
      {"rate = [false]", "operations.x.rate[0]: expected a rate, found true or false"},
      {"rate = true", "operations.x.rate: expected a rate, found true or false"},
      {"concurrent = '20'", "operations.x.concurrent: expected an integer, found a string"},
      {"concurrent = { limit = 5, candidate = 0 }", "operations.x.concurrent.candidate: 0: out of range"},
      {"concurrent = {}", "operations.x.concurrent: \"limit\" is missing"},
      {"cooldown = 300",
       "operations.x.cooldown: expected a duration, found an integer; write it as in \"30s\""},
      {"cooldown = '1.5s'", "the duration must be a whole number; write \"1500ms\" instead of \"1.5s\""},
      {"cooldown = '5'", "\"5\": the unit is missing; use ms, s, min, h or d"},
      {"cooldown = '5 parsecs'", "unknown unit \"parsecs\""},
      {"cooldown = { for = '5s', refusals = 256 }",
       "operations.x.cooldown.refusals: 256: out of range; use 1 to 255"},
      {"cooldown = '5min'",
       "operations.x.cooldown: nothing can begin it: only refusals by a rate or a window"},
      {"user.cooldown = '5min'", "operations.x.user.cooldown: nothing can begin it"},
      {"breaker = { failures = 3 }",
       "operations.x.breaker.recovery: missing: how long it stays open; for example"},
      {"cooldown = { refusals = 3 }", "operations.x.cooldown: \"for\" is missing"},
      {"cooldown = { for = '5s', candidate = '6s' }", "operations.x.cooldown.candidate: unknown key"},
      {"breaker = 5", "operations.x.breaker: expected a table, found an integer"},
      {"breaker = { failure = 5 }", "operations.x.breaker.failure: unknown key; did you mean \"failures\"?"},
      {"breaker = { failures = -1 }", "operations.x.breaker.failures: -1: out of range; use 0 to 65535"},
      {"breaker = { failure_rate = '50%' }",
       "operations.x.breaker.failure_rate: expected a number, found a string"},
      {"breaker = { failure_rate = nan }", "operations.x.breaker.failure_rate: not a finite number"},
      {"shadow = true", "operations.x.shadow: unknown key; it belongs to a limit, as in rate = { limit"},
      {"user.breaker = { failures = 5 }",
       "operations.x.user.breaker: unknown key; only operations and [defaults] have one"},
  };
  for (const auto& [line, error] : cases) {
    EXPECT_THAT(refused("operations.x." + std::string(line)), HasSubstr(error)) << line;
  }
  EXPECT_THAT(refused("global.breaker = { failures = 5 }"),
              HasSubstr("only operations and [defaults] have one"));
  EXPECT_THAT(refused("overrides.user.x = {}"),
              HasSubstr("overrides.user: unknown key; did you mean \"users\"?"));
  EXPECT_THAT(refused("overrides.users.x = { exempt = 1 }"),
              HasSubstr("overrides.users.x.exempt: expected true"));
  EXPECT_THAT(refused("overrides.users.\"a.b\".user = {}"),
              HasSubstr("overrides.users.\"a.b\".user: unknown key"));
}

}  // namespace
}  // namespace weir
