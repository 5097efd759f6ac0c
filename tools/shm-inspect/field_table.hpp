// SPDX-License-Identifier: Apache-2.0
#pragma once

// A list of fields as a table on the screen: a column for each field that has a title.

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/fields.hpp"
#include "weir/text.hpp"

#include "text_table.hpp"

namespace weir::shm_inspect {

/// "1,000,000"
[[nodiscard]] inline std::string grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

/// "[###.......]"
[[nodiscard]] inline std::string bar(std::uint64_t part, std::uint64_t whole) {
  constexpr std::uint64_t kWidth = 10;
  const auto share = static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(whole, 1));
  const std::uint64_t full = std::min(static_cast<std::uint64_t>(share * kWidth), kWidth);
  const std::uint64_t shown =
      std::max<std::uint64_t>(full, part > 0 ? 1 : 0);  // not empty while anything is left
  return fmt::format("[{:#<{}}{:.<{}}]", "", shown, "", kWidth - shown);
}

/// What a cell says; `zero` instead of 0 and false, if there is such a word.
[[nodiscard]] inline std::string cell_text(const FieldValue& value, std::string_view key,
                                           std::string_view zero) {
  return std::visit(
      [&](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::monostate> || std::is_same_v<T, std::nullptr_t>) {
          return "-";
        } else if constexpr (std::is_same_v<T, std::string>) {
          return printable(held);
        } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
          return utc_text(held);
        } else {
          if (held == T{} && !zero.empty()) return std::string(zero);
          if constexpr (std::is_same_v<T, bool>) return std::string(held ? key : "no");
          if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) return format_duration(held);
          if constexpr (std::is_same_v<T, std::uint64_t>) return grouped(held);
        }
      },
      value);
}

/// The table of a list; empty if there are no rows.
template <class Row>
[[nodiscard]] std::string field_table(const FieldList<Row>& list, const std::vector<Row>& rows,
                                      bool colours) {
  if (rows.empty()) return {};
  // Only of limits a part of the whole is worth a picture.
  constexpr bool kBars = std::is_same_v<Row, LimitStatus>;
  std::vector<std::string> titles{std::string(list.title)};
  for (const Field<Row>& field : list.fields.subspan(1)) {
    if (field.title.empty()) continue;
    titles.emplace_back(field.title);
    if (kBars && field.of != nullptr) titles.emplace_back();
  }
  TextTable table(std::move(titles));
  for (const Row& row : rows) {
    const Field<Row>& first = list.fields.front();
    std::vector<std::string> cells{cell_text(first.get(row), first.key, first.zero)};
    for (const Field<Row>& field : list.fields.subspan(1)) {
      if (field.title.empty()) continue;
      const FieldValue value = field.get(row);
      const std::uint64_t* const part = std::get_if<std::uint64_t>(&value);
      const bool of_whole = field.of != nullptr && part != nullptr;
      cells.push_back(of_whole ? fmt::format("{}/{}", *part, field.of(row))
                               : cell_text(value, field.key, field.zero));
      if (kBars && field.of != nullptr) cells.push_back(part != nullptr ? bar(*part, field.of(row)) : "");
    }
    table.add(std::move(cells), list.needs_attention != nullptr && list.needs_attention(row));
  }
  return table.text(colours);
}

}  // namespace weir::shm_inspect
