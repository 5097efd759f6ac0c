// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/config.hpp"

#include "config/write.hpp"
#include "policy/config_keys.hpp"
#include "policy/validate.hpp"

namespace weir::detail {
namespace {

constexpr std::string_view kHead = R"(# Configuration: every key

This page is generated from the list of keys that the library itself reads by: `shm-inspect keys` prints it.

A configuration is a TOML file. A key that it leaves out has its default; a limit that it leaves out does not exist.
`shm-inspect check FILE` shows the values that result from a file, and where each of them came from.

- A *rate* is `"COUNT/PERIOD"` or `"COUNT/PERIOD burst COUNT"`, as in `"30/min burst 10"`; without a burst a full bucket
  holds one period.
- A *window* is `"LIMIT per PERIOD"`, as in `"100 per 1min"`.
- A *duration* is a whole number and a unit, as in `"30s"`.
- Units: s, sec, second; min, minute; h, hour; d, day; ms; us; ns. A period may leave out the number 1.
- `false` instead of a limit takes away what `[defaults]` would give.
- A variable of the environment sets a key, with `__` for its dots: `WEIR_OPERATIONS__CAPTIONS__RATE="60/min"`.

)";

std::string choice_text(Names names) {
  std::string text;
  for (const std::string_view name : names) {
    const bool last = name == names.back();
    text += fmt::format("{}`\"{}\"`", text.empty() ? "" : last ? " or " : ", ", name);
  }
  return text;
}

/// The values that a key accepts, and its default: a value that may be written in a file, or words.
struct Cells {
  std::string values;
  std::string normally;
};

template <class T, class Setting>
Cells with_default(std::string values, const Setting& setting) {
  return {std::move(values), fmt::format("`{}`", inline_text(written(T{}, setting)))};
}
template <class T, class Value>
Cells cells(const Plain<T, Value>& setting) {
  if constexpr (std::is_same_v<Value, std::string>) {
    return with_default<T>("text", setting);
  } else if constexpr (std::is_same_v<Value, bool>) {
    return with_default<T>("`true` or `false`", setting);
  } else {
    return with_default<T>(choice_text(names_of(Value{})), setting);
  }
}
template <class T, class Value>
Cells cells(const Whole<T, Value>& setting) {
  if (!in_bounds(setting, default_of(setting.member))) return {bounds_text(setting), "none"};
  return with_default<T>(bounds_text(setting), setting);
}
template <class T>
Cells cells(const Decimal<T>& setting) {
  return with_default<T>(fmt::format("{} to {}", setting.least, setting.most), setting);
}
template <class T>
Cells cells(const Length<T>& setting) {
  const bool whole = setting.step == std::chrono::milliseconds(1);
  std::string values = fmt::format("a duration up to {}{}", longest_text(setting.most),
                                   whole ? ", in whole milliseconds" : "");
  if (default_of(setting.member).count() == 0) return {std::move(values), "none"};
  return with_default<T>(std::move(values), setting);
}
template <class T>
Cells cells(const Shares<T>& setting) {
  return with_default<T>(fmt::format("a list of {} numbers, {} at most together",
                                     default_of(setting.member).size(), setting.most),
                         setting);
}
template <class T>
Cells cells(const CountOrOff<T>& setting) {
  return {fmt::format("`\"{}\"` or 1 to {}", kOff, setting.most), std::string(setting.normally)};
}
template <class T>
Cells cells(const Octal<T>& setting) {
  return with_default<T>("octal digits in quotes", setting);
}
template <class T, class Value>
Cells cells(const Part<T, Value>& /*setting*/) {
  if constexpr (std::is_same_v<Value, std::vector<Rate>>)
    return {"a rate, a table, or a list of these", "none"};
  if constexpr (std::is_same_v<Value, std::vector<Window>>)
    return {"a window, a table, or a list of these", "none"};
  if constexpr (std::is_same_v<Value, Concurrency>) return {"a number or a table", "none"};
  if constexpr (std::is_same_v<Value, Cooldown>) return {"a duration or a table", "none"};
  return {"a table", "none"};
}
Cells cells(const LimitText& setting) {
  return {fmt::format("{}, as in `\"{}\"`", setting.what, setting.example), "required"};
}
Cells cells(const ShadowMode& /*setting*/) {
  return {"`true` or `false`", "`false`"};
}
Cells cells(const CandidateText& setting) {
  return {std::string(setting.what), "none"};
}

template <class T>
Cells cells(const Field<T>& field) {
  return std::visit([](const auto& setting) { return cells(setting); }, field.setting);
}

template <class T, std::size_t N>
void add_rows(std::string& page, const std::array<Field<T>, N>& fields) {
  for (const Field<T>& field : fields) {
    const auto [values, normally] = cells(field);
    page += fmt::format("| `{}` | {} | {} | {} |\n", field.name, values, normally, field.help);
  }
}

void add_table_head(std::string& page, std::string_view title, std::string_view text) {
  page += fmt::format("## {}\n\n{}\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n", title, text);
}

/// Adds the keys of a value that may be written as a table.
template <class T, std::size_t N>
void add_value(std::string& page, std::string_view key, const std::array<Field<T>, N>& fields,
               std::string_view text) {
  add_table_head(page, fmt::format("`{}`", key), text);
  add_rows(page, fields);
  page += '\n';
}

std::string reference() {
  std::string page(kHead);
  page += "| Table | Holds |\n|---|---|\n";
  for (const Key& key : kRootKeys) {
    if (key.parts->named != nullptr) {
      page += fmt::format("| `[{}.NAME]` | {} |\n", key.name, key.help);
    } else if (key.name == "overrides") {
      page +=
          fmt::format("| `[{}.{}.NAME]` | {} |\n", key.name, kOverridesKeys[0].name, kOverridesKeys[0].help);
    } else {
      page += fmt::format("| `[{}]` | {} |\n", key.name, key.help);
    }
  }
  page += '\n';
  add_value(page, "[segment]", kSegmentFields,
            "The settings of the segment; they are fixed when it is made.");

  add_table_head(
      page, "Limits",
      "The keys of every other table. `breaker` belongs to `[defaults]` and `[operations.NAME]`; `queue` and "
      "the four keys after it also to `[global]`; `exempt` to `[overrides.users.NAME]`, which has no "
      "`user`.");
  add_rows(page, kSharedLimits);
  add_rows(page, kQueueFields);
  add_rows(page, kBreakerField);
  add_rows(page, kUserField);
  add_rows(page, kExemptField);
  page += '\n';

  add_value(page, "rate", kRateFields,
            "As a table, `rate = { limit = \"30/min\", candidate = \"20/min\" }`; it needs `limit`.");
  add_value(page, "window", kWindowFields,
            "As a table, `window = { limit = \"100 per 1min\", kind = \"log\" }`; it needs `limit`.");
  add_value(page, "concurrent", kConcurrentFields,
            fmt::format("As a table, `concurrent = {{ limit = 20, shadow = true }}`; it needs `limit`. Per "
                        "user the bounds are {}.",
                        cells(kUserConcurrentFields.front()).values));
  add_value(page, "cooldown", kCooldownFields,
            "As a table, `cooldown = { for = \"5min\", refusals = 3 }`; it needs `for`.");
  add_value(
      page, "breaker", kBreakerFields,
      "A table, `breaker = { failures = 3, recovery = \"30s\" }`. It needs `recovery`, and at least one of "
      "`failures`, `failure_rate` and `slow_rate`; a rate needs either `window` or `window_calls`, and "
      "`slow_rate` and `slow_call` need each other.");
  page.pop_back();
  return page;
}

}  // namespace
}  // namespace weir::detail

namespace weir {

std::string config_reference() {
  return detail::reference();
}

}  // namespace weir
