// SPDX-License-Identifier: Apache-2.0
#include "recorded_text.hpp"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "weir/config.hpp"
#include "weir/field_table.hpp"
#include "weir/text.hpp"
#include "weir/text_table.hpp"

#include "described.hpp"

namespace weir::shm_inspect {
namespace {

std::uint64_t whole_of(const Json& row) {
  for (const char* key : {"burst", "limit"}) {
    const Json* const whole = member(row, key);
    if (whole != nullptr && whole->is_number_unsigned()) return whole->get<std::uint64_t>();
  }
  return 0;
}

std::string cell(const Json& row, const Described& field) {
  const Json* const value = field.key.empty() ? &row : member(row, field.key);
  if (value == nullptr) return "-";
  const bool nothing = (value->is_number() && value->get<double>() == 0) || *value == false;
  if (nothing && !field.zero.empty()) return std::string(field.zero);
  if (value->is_boolean()) return std::string(*value == true ? field.key : "no");
  if (field.unit == Unit::seconds && value->is_number()) {
    constexpr double kMost = 1e9;  // what a file says may be beyond any time
    const double seconds = value->get<double>();
    if (std::isfinite(seconds) && seconds >= 0 && seconds < kMost)
      return format_duration(
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds)));
  }
  const std::uint64_t whole = field.is_part ? whole_of(row) : 0;
  if (whole != 0 && value->is_number_unsigned())
    return fmt::format("{}/{}", value->get<std::uint64_t>(), whole);
  return plain_text(*value);
}

std::string table_of(const DescribedList& list, const Json& rows, bool colours) {
  std::vector<std::string> titles{std::string(list.title)};
  for (std::size_t i = 1; i < list.fields.size(); ++i) {
    if (!list.fields[i].title.empty()) titles.emplace_back(list.fields[i].title);
  }
  TextTable table(std::move(titles));
  for (const Json& row : rows) {
    std::vector<std::string> cells{cell(row, list.fields.front())};
    for (std::size_t i = 1; i < list.fields.size(); ++i) {
      if (!list.fields[i].title.empty()) cells.push_back(cell(row, list.fields[i]));
    }
    table.add(std::move(cells));
  }
  return table.text(colours);
}

/// "swept: workers 0, permits 0"
std::string line_of(const DescribedList& list, const Json& object) {
  std::string text;
  for (const Described& field : list.fields)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.key, cell(object, field));
  return (list.key.empty() ? text : fmt::format("{}: {}", list.key, text)) + "\n";
}

/// "operations: search, upload"
std::string names_of(const DescribedList& list, const Json& names) {
  std::string text;
  for (const Json& name : names) text += (text.empty() ? " " : ", ") + plain_text(name);
  return fmt::format("{}:{}\n", list.key, text);
}

}  // namespace

const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

std::string plain_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_number_unsigned()) return grouped(value.get<std::uint64_t>());
  if (value.is_structured()) return "...";
  return value.dump();
}

std::string render_recorded(const Json& status, bool colours) {
  std::string text;
  for (const DescribedList& list : described_lists()) {
    const Json* const found = list.key.empty() ? &status : member(status, list.key);
    if (found == nullptr || found->empty()) continue;
    if (list.is_object && found->is_object()) text += (list.key.empty() ? "" : "\n") + line_of(list, *found);
    if (list.is_object || !found->is_array()) continue;
    text += list.title.empty() ? names_of(list, *found) : "\n" + table_of(list, *found, colours);
  }
  return text;
}

}  // namespace weir::shm_inspect
