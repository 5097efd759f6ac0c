// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <string_view>

#include "weir/config.hpp"

namespace weir {
namespace {

constexpr std::string_view kBuiltin =
    R"toml([segment]
name = "weir"
users = 100_000
when_full = "evict"
mode = "0600"

[defaults]
rate = ["60/min burst 10", "1000/hour"]
concurrent = 50
queue = 100
timeout = "30s"
breaker = { failures = 5, recovery = "60s" }
user.concurrent = 5

[operations.caption_generation]
rate = ["30/min burst 10", "500/hour"]
concurrent = 20
breaker = { failures = 3, recovery = "30s" }
user.rate = ["10/min burst 3", "100/hour"]
user.concurrent = 3

[operations.batch_processing]
rate = ["10/min burst 100", "100/hour"]       # a batch spends one token for each of its requests
concurrent = 10
breaker = { failures = 2, recovery = "60s" }
user.rate = "4/min burst 100"
user.concurrent = 2

[operations.ai_model_loading]
rate = ["5/min burst 1", "50/hour"]
concurrent = 5
breaker = { failures = 2, recovery = "120s" }
user.concurrent = 1

[operations.database_query]
rate = "200/s burst 100"
user.rate = "20/s burst 20"

[operations.external_api_call]
breaker = { failures = 5, recovery = "30s", recovery_factor = 2.0, max_recovery = "5min", jitter = 0.1 }
user.rate = "20/min burst 5"

[operations.file_operation]
rate = "50/s burst 25"
user.rate = "5/s burst 10"

[operations.cache_operation]
rate = "2000/s burst 500"

[operations.heavy_computation]
rate = ["6/min burst 2", "100/hour"]
concurrent = 4
user.rate = "2/min burst 1"
user.concurrent = 1
)toml";

}  // namespace

std::string_view builtin_config_text() noexcept {
  return kBuiltin;
}

Config builtin_config() {
  Result<Config> config = parse_config(kBuiltin, "builtin");
  if (!config) std::abort();  // out of memory: a test shows that the text is valid
  return *std::move(config);
}

}  // namespace weir
