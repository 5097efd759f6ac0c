// SPDX-License-Identifier: Apache-2.0
#pragma once

// The lists of weir/fields.hpp as they are of use to a text that has the values as JSON, and not as rows.

#include <string_view>
#include <type_traits>
#include <vector>

#include "weir/fields.hpp"

namespace weir::shm_inspect {

struct Described {
  std::string_view key;
  FieldKind kind;
  Unit unit;
  std::string_view title;
  std::string_view zero;
  bool is_part;  ///< of a whole, which of limits is in the row under "burst" or "limit"
};

struct DescribedList {
  std::string_view key;
  std::string_view title;
  bool is_object;
  std::vector<Described> fields;  ///< the first of them says what a row is about
};

template <class Row>
[[nodiscard]] std::vector<Described> described(const FieldList<Row>& list) {
  std::vector<Described> all;
  for (const Field<Row>& field : list.fields)
    all.push_back({field.key, field.kind, field.unit, field.title, field.zero, field.of != nullptr});
  return all;
}

/// The segment itself, under the key "", and all parts of a snapshot.
[[nodiscard]] inline std::vector<DescribedList> described_lists() {
  std::vector<DescribedList> lists{{"", "", true, described(kSegmentFields)}};
  for_each_part([&](const auto& part) {
    lists.push_back({part.key, part.title, part.is_object, described(part)});
  });
  return lists;
}

}  // namespace weir::shm_inspect
