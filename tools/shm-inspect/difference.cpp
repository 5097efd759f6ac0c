// SPDX-License-Identifier: Apache-2.0
#include "difference.hpp"

#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <map>
#include <string_view>
#include <utility>

#include "weir/text.hpp"
#include "weir/text_table.hpp"

#include "described.hpp"
#include "recorded_text.hpp"

namespace weir::shm_inspect {
namespace {

/// after - before, in whole numbers as long as both are.
Json minus(const Json& after, const Json& before) {
  if (!after.is_number_unsigned() || !before.is_number_unsigned())
    return after.get<double>() - before.get<double>();
  const auto high = after.get<std::uint64_t>();
  const auto low = before.get<std::uint64_t>();
  return high >= low ? Json(high - low) : Json(-static_cast<double>(low - high));
}

/// The rows of a list by what they are about. Several of them may be about the same thing, which is told by a number.
std::map<std::string, const Json*> rows_of(const DescribedList& list, const Json& status) {
  std::map<std::string, const Json*> rows;
  const Json* const found = list.key.empty() ? &status : member(status, list.key);
  if (found == nullptr) return rows;
  if (list.is_object && found->is_object()) rows.emplace("", found);
  if (list.is_object || !found->is_array()) return rows;
  for (const Json& row : *found) {
    const std::string_view key = list.fields.front().key;
    const Json* const name = key.empty() ? &row : member(row, key);
    std::string about = name == nullptr ? std::string() : plain_text(*name);
    for (int number = 2; rows.contains(about); ++number)
      about = fmt::format("{} ({})", name == nullptr ? std::string() : plain_text(*name), number);
    rows.emplace(std::move(about), &row);
  }
  return rows;
}

class Comparison {
 public:
  Comparison(const Recorded& before, const Recorded& after) : before_(before), after_(after) {
    const Json* const was = member(before.status, "uuid");
    const Json* const is = member(after.status, "uuid");
    replaced_ = was != nullptr && is != nullptr && *was != *is;
    known_ = before.moment && after.moment;
    if (known_) seconds_ = std::chrono::duration<double>(*after.moment - *before.moment).count();
    for (const DescribedList& list : described_lists()) compare(list);
  }

  [[nodiscard]] Json result() && {
    const auto time = [](const Recorded& one) {
      return one.moment ? Json(text_of(*one.moment)) : Json(nullptr);
    };
    return {{"from", time(before_)},
            {"to", time(after_)},
            {"seconds", known_ ? Json(seconds_) : Json(nullptr)},
            {"replaced", replaced_},
            {"changes", std::move(changes_)}};
  }

 private:
  void compare(const DescribedList& list) {
    const auto before = rows_of(list, before_.status);
    const auto after = rows_of(list, after_.status);
    for (const auto& [about, row] : before) {
      const auto found = after.find(about);
      if (found == after.end()) {
        add(list, about, "", "row", "there", nullptr);
        continue;
      }
      for (const Described& field : list.fields) compare(list, about, field, *row, *found->second);
    }
    for (const auto& [about, row] : after) {
      if (!before.contains(about)) add(list, about, "", "row", nullptr, "there");
    }
  }

  void compare(const DescribedList& list, const std::string& about, const Described& field,
               const Json& before, const Json& after) {
    if (field.key == "taken") return;  // the times of the snapshots themselves
    const Json* const from = field.key.empty() ? nullptr : member(before, field.key);
    const Json* const to = field.key.empty() ? nullptr : member(after, field.key);
    const Json was = from == nullptr ? Json(nullptr) : *from;
    const Json is = to == nullptr ? Json(nullptr) : *to;
    if (was == is) return;
    Json& change = add(list, about, field.key, to_string(field.kind), was, is);
    if (field.kind != FieldKind::counter || !was.is_number() || !is.is_number()) return;
    // The counters of a new segment began with nothing.
    const Json difference = replaced_ ? is : minus(is, was);
    change["difference"] = difference;
    if (seconds_ > 0) change["per_second"] = difference.get<double>() / seconds_;
  }

  Json& add(const DescribedList& list, const std::string& about, std::string_view key, std::string_view kind,
            const Json& from, const Json& to) {
    changes_.push_back({{"list", list.key.empty() ? "segment" : list.key},
                        {"row", about},
                        {"key", key},
                        {"kind", kind},
                        {"from", from},
                        {"to", to}});
    return changes_.back();
  }

  const Recorded& before_;
  const Recorded& after_;
  bool replaced_ = false;
  bool known_ = false;
  double seconds_ = 0;
  Json changes_ = Json::array();
};

}  // namespace

Json difference_between(const Recorded& before, const Recorded& after) {
  return Comparison(before, after).result();
}

std::string render_difference(const Json& difference) {
  const auto part = [&](const char* key) { return plain_text(difference.at(key)); };
  std::string text = fmt::format("from {} to {}", part("from"), part("to"));
  if (difference.at("seconds").is_number())
    text += fmt::format(", {:.3f} s", difference.at("seconds").get<double>());
  text += "\n";
  if (difference.at("replaced") == true)
    text += "!! the segment was replaced by another one of the same name, whose counters began with 0\n";
  TextTable table({"LIST", "ROW", "KEY", "FROM", "TO", "CHANGE", "PER SECOND"});
  std::size_t shown = 0;
  for (const Json& change : difference.at("changes")) {
    const auto cell = [&](const char* key) {
      const Json* const value = member(change, key);
      return value == nullptr ? std::string() : plain_text(*value);
    };
    // Times pass by themselves: the age of a worker, the time until a bucket is full.
    if (change.at("kind") == "gauge" && cell("key").ends_with("_s")) continue;
    const Json* const rate = member(change, "per_second");
    table.add({cell("list"), cell("row"), cell("key"), cell("from"), cell("to"), cell("difference"),
               rate == nullptr ? "" : fmt::format("{:.3g}", rate->get<double>())});
    ++shown;
  }
  return text + (shown == 0 ? "nothing changed\n" : table.text(false));
}

}  // namespace weir::shm_inspect
