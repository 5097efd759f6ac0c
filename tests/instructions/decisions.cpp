// SPDX-License-Identifier: Apache-2.0

// The program whose instructions are counted: `decisions KIND COUNT` decides COUNT requests of one kind
// through the shared library, at a time of its own, and does nothing else in its loop. `decisions KIND COUNT counted`
// counts what becomes of them, too.

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/limiter.hpp"

namespace {

struct Kind {
  std::string_view name;
  std::string_view limits;
  bool has_user;
};

constexpr std::array kKinds{
    Kind{"one_rate", "[operations.x]\nrate = '1000/s burst 1000000'\n", false},
    Kind{"refusal", "[operations.x]\nrate = '1/day burst 1'\n", false},
    Kind{"rate_of_a_user", "[operations.x.user]\nrate = '1000/s burst 100000'\n", true},
    Kind{"five_limits_and_a_breaker",
         "[global]\nrate = '1000/s burst 1000000'\n"
         "[operations.x]\nrate = '1000/s burst 1000000'\nconcurrent = 64\n"
         "breaker = { failures = 5, recovery = '30s' }\n"
         "[operations.x.user]\nrate = '1000/s burst 100000'\nconcurrent = 4\n",
         true},
    Kind{"cooldown_of_a_user",
         "[operations.x.user]\nrate = '1000/s burst 100000'\ncooldown = { for = '10s', refusals = 3 }\n",
         true},
    Kind{
        "breaker_with_a_slow_rate",
        "[operations.x]\nbreaker = { slow_rate = 0.5, slow_call = '1s', window = '10s', recovery = '30s' }\n",
        false},
};

int decide(const Kind& kind, int count, bool counted) {
  auto config = weir::parse_config(kind.limits, "instructions");
  if (!config) return 1;
  config->segment.users = 1000;
  config->segment.metrics = counted ? weir::Metrics::counts : weir::Metrics::off;
  auto limiter = weir::Limiter::open_private(*config);
  if (!limiter) return 1;
  const weir::Operation x = *limiter->operation("x");
  std::array<std::string, 100> users;
  for (std::size_t i = 0; i < users.size(); ++i) users[i] = "user-" + std::to_string(i);
  const auto now = weir::HostClock::now();
  // Every user is known before the counting begins.
  for (const std::string& user : users) limiter->admit_at(now, x, {.user = user}).succeed();
  std::size_t next = 0;
  for (int i = 0; i < count; ++i) {
    next = next + 1 < users.size() ? next + 1 : 0;
    weir::Admission admission = limiter->admit_at(
        now, x, {.user = kind.has_user ? std::string_view(users[next]) : std::string_view()});
    admission.succeed();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool counted = argc == 4 && argv[3] == std::string_view("counted");
  if (argc != 3 && !counted) return 2;
  for (const Kind& kind : kKinds) {
    if (kind.name == argv[1]) return decide(kind, std::atoi(argv[2]), counted);
  }
  return 2;
}
