#include <cstdlib>
#include <string_view>

#include "weir/config.hpp"

namespace weir {
namespace {

constexpr std::string_view kBuiltin =
    R"toml(# The limits of an AI captions service. All rates of a list must agree.

[segment]
name = "weir"
users = 100_000          # who may owe something at once
when_full = "evict"
mode = "0600"

[defaults]               # for an operation that says nothing itself
rate = ["60/min burst 10", "1000/hour"]
concurrent = 50
user.concurrent = 5

[operations.caption_generation]
rate = ["30/min burst 10", "500/hour"]
concurrent = 20
user.rate = ["10/min burst 3", "100/hour"]
user.concurrent = 3

[operations.batch_processing]
rate = ["10/min burst 2", "100/hour"]
concurrent = 10
user.rate = "4/min burst 2"
user.concurrent = 2

[operations.ai_model_loading]  # takes long, and a GPU's memory
rate = ["5/min burst 1", "50/hour"]
concurrent = 5
user.concurrent = 1

[operations.database_query]
rate = "200/s burst 100"
user.rate = "20/s burst 20"

[operations.external_api_call]  # at the default rate: somebody else's quota and bill
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
  if (!config) std::abort();  // no memory; the text itself is tested
  return *std::move(config);
}

}  // namespace weir
