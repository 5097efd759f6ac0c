// SPDX-License-Identifier: Apache-2.0
#pragma once

// A list of fields as a table on the screen: a column for each field that has a title.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/config.hpp"
#include "weir/fields.hpp"
#include "weir/text.hpp"
#include "weir/text_table.hpp"

namespace weir {

/// "1,000,000"
[[nodiscard]] inline std::string grouped(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

/// "1.5 MiB"
[[nodiscard]] inline std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {" KiB", " MiB", " GiB"};
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  char digits[32];
  const char* const end =
      std::to_chars(std::begin(digits), std::end(digits), size, std::chars_format::fixed, 1).ptr;
  return std::string(static_cast<const char*>(digits), end).append(kUnits[unit]);
}

/// "[###.......]"
[[nodiscard]] inline std::string bar(std::uint64_t part, std::uint64_t whole) {
  constexpr std::uint64_t kWidth = 10;
  const auto share = static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(whole, 1));
  const std::uint64_t full = std::min(static_cast<std::uint64_t>(share * kWidth), kWidth);
  const std::uint64_t shown =
      std::max<std::uint64_t>(full, part > 0 ? 1 : 0);  // not empty while anything is left
  return "[" + std::string(shown, '#') + std::string(kWidth - shown, '.') + "]";
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
        } else if constexpr (std::is_same_v<T, Histogram>) {
          std::uint64_t all = held.longer;
          for (const Histogram::Bucket& bucket : held.buckets) all += bucket.count;
          return grouped(all);
        } else {
          if (held == T{} && !zero.empty()) return std::string(zero);
          if constexpr (std::is_same_v<T, bool>) return std::string(held ? key : "no");
          if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) return format_duration(held);
          if constexpr (std::is_same_v<T, std::uint64_t>) return grouped(held);
          if constexpr (std::is_same_v<T, double>) {  // a part of 1
            const auto tenths = std::llround(1'000 * held);
            return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " %";
          }
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
      cells.push_back(of_whole ? std::to_string(*part) + "/" + std::to_string(field.of(row))
                               : cell_text(value, field.key, field.zero));
      if (kBars && field.of != nullptr) cells.push_back(part != nullptr ? bar(*part, field.of(row)) : "");
    }
    table.add(std::move(cells), list.needs_attention != nullptr && list.needs_attention(row));
  }
  return table.text(colours);
}

}  // namespace weir
