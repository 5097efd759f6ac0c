#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

#include "weir/config.hpp"

#include "config/write.hpp"

namespace weir {

using detail::joined;
using detail::toml_string;

ConfigBuilder::ConfigBuilder(std::string_view segment_name) {
  set("segment.name", toml_string(segment_name));
}

ConfigBuilder& ConfigBuilder::global() {
  scope_ = "global";
  return *this;
}

ConfigBuilder& ConfigBuilder::operation(std::string_view name) {
  scope_ = joined("operations", name);
  const bool there =
      std::ranges::any_of(changes_, [&](const ConfigChange& change) { return change.key == scope_; });
  return there ? *this : set(scope_, "{}");  // without limits it is an operation all the same
}

ConfigBuilder& ConfigBuilder::override_user(std::string_view user) {
  scope_ = joined("overrides.users", user);
  return *this;
}

ConfigBuilder& ConfigBuilder::rate(std::string_view text) {
  return add("rate", text);
}
ConfigBuilder& ConfigBuilder::window(std::string_view text) {
  return add("window", text);
}
ConfigBuilder& ConfigBuilder::concurrent(std::uint32_t limit) {
  return put("concurrent", std::to_string(limit));
}
ConfigBuilder& ConfigBuilder::cooldown(std::chrono::nanoseconds length) {
  return put("cooldown", toml_string(format_exact_duration(length)));
}
ConfigBuilder& ConfigBuilder::breaker(const Breaker& breaker) {
  return put("breaker", detail::inline_text(detail::write_breaker(breaker)));
}
ConfigBuilder& ConfigBuilder::user_rate(std::string_view text) {
  return add("user.rate", text);
}
ConfigBuilder& ConfigBuilder::user_window(std::string_view text) {
  return add("user.window", text);
}
ConfigBuilder& ConfigBuilder::user_concurrent(std::uint32_t limit) {
  return put("user.concurrent", std::to_string(limit));
}
ConfigBuilder& ConfigBuilder::user_cooldown(std::chrono::nanoseconds length) {
  return put("user.cooldown", toml_string(format_exact_duration(length)));
}
ConfigBuilder& ConfigBuilder::exempt() {
  return put("exempt", "true");
}

ConfigBuilder& ConfigBuilder::set(std::string_view key, std::string_view value) {
  changes_.push_back({std::string(key), {}, std::string(value)});
  return *this;
}

Result<Config> ConfigBuilder::build() const noexcept {
  Config config;
  if (const Result<void> applied = apply_changes(config, changes_); !applied) return applied.error();
  return config;
}

ConfigBuilder& ConfigBuilder::add(std::string_view list, std::string_view text) {
  const std::string key = fmt::format("{}.{}[", scope_, list);
  const auto before = std::ranges::count_if(changes_, [&](const ConfigChange& change) {
    return change.key.starts_with(key) && change.key.back() == ']';
  });
  return set(fmt::format("{}{}]", key, before), toml_string(text));
}

ConfigBuilder& ConfigBuilder::put(std::string_view key, const std::string& value) {
  return set(fmt::format("{}.{}", scope_, key), value);
}

}  // namespace weir
