// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/read.hpp"
#include "policy/config_keys.hpp"
#include "policy/key_path.hpp"

namespace weir {

ConfigBuilder::ConfigBuilder(std::string_view segment_name) {
  config_.segment.name = segment_name;
}

ConfigBuilder& ConfigBuilder::global() {
  scope_ = Scope::global;
  return *this;
}

ConfigBuilder& ConfigBuilder::operation(std::string_view name) {
  scope_ = Scope::operation;
  config_.operations[name_ = name];  // an operation exists even if it gets no limits
  return *this;
}

ConfigBuilder& ConfigBuilder::override_user(std::string_view user) {
  scope_ = Scope::user;
  name_ = user;
  return *this;
}

ConfigBuilder& ConfigBuilder::rate(std::string_view text) {
  return add(shared().rates, "rate", parse_rate(text));
}
ConfigBuilder& ConfigBuilder::window(std::string_view text) {
  return add(shared().windows, "window", parse_window(text));
}
ConfigBuilder& ConfigBuilder::concurrent(std::uint32_t limit) {
  return permits(shared(), "concurrent", limit);
}
ConfigBuilder& ConfigBuilder::cooldown(std::chrono::nanoseconds length) {
  shared().cooldown = {length};
  return *this;
}
ConfigBuilder& ConfigBuilder::breaker(const Breaker& breaker) {
  if (scope_ == Scope::operation) {
    policy().breaker = breaker;
  } else {
    fail("breaker", "unknown key", "only operations have one: call operation() first");
  }
  return *this;
}
ConfigBuilder& ConfigBuilder::user_rate(std::string_view text) {
  return add(of_users("user.rate").rates, "user.rate", parse_rate(text));
}
ConfigBuilder& ConfigBuilder::user_window(std::string_view text) {
  return add(of_users("user.window").windows, "user.window", parse_window(text));
}
ConfigBuilder& ConfigBuilder::user_concurrent(std::uint32_t limit) {
  return permits(of_users("user.concurrent"), "user.concurrent", limit);
}
ConfigBuilder& ConfigBuilder::user_cooldown(std::chrono::nanoseconds length) {
  of_users("user.cooldown").cooldown = {length};
  return *this;
}
ConfigBuilder& ConfigBuilder::exempt() {
  if (scope_ == Scope::user) {
    config_.users[name_].exempt = true;
  } else {
    fail("exempt", "unknown key", "only a user has it: call override_user() first");
  }
  return *this;
}

ConfigBuilder& ConfigBuilder::set(std::string_view key, std::string_view value) {
  Result<Config> changed = detail::changed_tree(config_, {{std::string(key), {}, std::string(value)}})
                               .and_then(detail::load_unchecked);
  if (changed) {
    config_ = *std::move(changed);
  } else if (!mistake_) {
    mistake_ = changed.error();
  }
  return *this;
}

Result<Config> ConfigBuilder::build() const noexcept {
  return detail::guarded([&]() -> Result<Config> {
    if (mistake_) return *mistake_;
    WEIR_TRY_VOID(validate(config_));
    return config_;
  });
}

OperationPolicy& ConfigBuilder::policy() {
  return scope_ == Scope::operation ? config_.operations[name_] : config_.global;
}

Limits& ConfigBuilder::shared() {
  return scope_ == Scope::user ? config_.users[name_].limits : policy().shared;
}

Limits& ConfigBuilder::of_users(std::string_view key) {
  if (scope_ != Scope::user) return policy().user;
  fail(key, "unknown key", "all limits of an override are per user: leave out the user_");
  return shared();
}

ConfigBuilder& ConfigBuilder::permits(Limits& limits, std::string_view key, std::uint32_t limit) {
  if (limit == 0) fail(key, "0: out of range", "use at least 1, or leave it out");
  limits.concurrent = limit;
  return *this;
}

template <class Limit>
ConfigBuilder& ConfigBuilder::add(std::vector<Limit>& list, std::string_view key,
                                  const Result<Limit>& limit) {
  if (limit) {
    list.push_back(*limit);
  } else {
    fail(fmt::format("{}[{}]", key, list.size()), limit.error().what, limit.error().hint);
  }
  return *this;
}

void ConfigBuilder::fail(std::string_view key, std::string_view problem, std::string hint) {
  if (mistake_) return;
  const std::string scope = scope_ == Scope::global      ? "global"
                            : scope_ == Scope::operation ? detail::joined("operations", name_)
                                                         : detail::joined("overrides.users", name_);
  mistake_ =
      Error{Errc::config, fmt::format("{}.{}: {}", detail::escaped(scope), key, problem), std::move(hint)};
}

}  // namespace weir
