// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a value that the inspector shows is described: its key, what it is, its unit, and what it means. Which values
// there are: field_rows.hpp, limit_rows.hpp; the lists that they form, and how to walk these: fields.hpp.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weir/export.hpp"
#include "weir/inspect.hpp"
#include "weir/policy.hpp"

namespace weir {

enum class FieldKind : std::uint8_t {
  label = 0,    ///< what the row is about, or how it was configured
  state = 1,    ///< one of a few words
  gauge = 2,    ///< goes up and down
  counter = 3,  ///< only goes up while the segment lives
};

enum class Unit : std::uint8_t {
  none = 0,
  requests = 1,
  permits = 2,
  users = 3,
  entries = 4,
  calls = 5,
  workers = 6,
  changes = 7,
  seconds = 8,
  bytes = 9,
  ratio = 10,  ///< a part of 1
};

// The words for values that are shown.
[[nodiscard]] WEIR_EXPORT std::string_view to_string(FieldKind kind) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Unit unit) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(Mode mode) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(WindowKind kind) noexcept;
[[nodiscard]] WEIR_EXPORT std::string_view to_string(TableFull policy) noexcept;
/// Formats a time as in "2024-01-31T12:00:00Z".
[[nodiscard]] WEIR_EXPORT std::string utc_text(std::chrono::system_clock::time_point time);
/// Formats the permission bits of a file as in "0600".
[[nodiscard]] WEIR_EXPORT std::string mode_text(std::uint32_t mode);

/// How many of something took how long.
struct Histogram {
  struct Bucket {
    std::chrono::nanoseconds at_most{0};
    std::uint64_t count = 0;  ///< those that took at most so long, and longer than the bucket before
  };
  std::vector<Bucket> buckets;  ///< the shortest first
  std::uint64_t longer = 0;     ///< those that took longer than all of them
  std::chrono::nanoseconds sum{0};
};

/// The value of a field. monostate: the field does not apply to this row and is left out; nullptr: it is not known.
using FieldValue =
    std::variant<std::monostate, std::nullptr_t, bool, std::uint64_t, double, std::chrono::nanoseconds,
                 std::chrono::system_clock::time_point, std::string, Histogram>;

/// The series that a field is in an exposition for Prometheus (report.hpp).
struct Metric {
  std::string_view name = {};    ///< "requests_total"; empty: the field is not exported
  std::string_view labels = {};  ///< beside those of its row: R"(verdict="shed")"
  std::string_view help = {};    ///< one sentence about all series of this name; empty: the help of the field
  /// For a state: the words that it can be. There is a series for each of them, with the field's key as label; it is 1
  /// for the word that holds, and 0 for the others.
  std::span<const std::string_view> states = {};
};

/// The labels that all series of a row have. One without a value is left out.
using MetricLabels = std::vector<std::pair<std::string_view, std::string>>;

/// Describes one value that every row of a list has.
template <class Row>
struct Field {
  std::string_view key;  ///< its key in JSON, which ends in _s if the value is in seconds
  FieldKind kind = FieldKind::label;
  Unit unit = Unit::none;
  std::string_view help;  ///< one sentence
  FieldValue (*get)(const Row&) = nullptr;
  std::string_view more = {};   ///< what a reference page adds
  std::string_view title = {};  ///< the title of its column on a screen; empty: it has no column
  std::string_view zero = {};   ///< what a screen shows for 0 or false
  /// If set, the whole that the value is a part of; a screen then shows "3/20".
  std::uint64_t (*of)(const Row&) = nullptr;
  Metric metric = {};
};

/// The fields of one type of row.
template <class Row>
struct FieldList {
  std::string_view key;    ///< the key of the list in JSON
  std::string_view title;  ///< the title of its first column on a screen; empty: it has no screen
  std::string_view help;   ///< one sentence
  std::span<const Field<Row>> fields;
  /// Says whether an operator should look at a row.
  bool (*needs_attention)(const Row&) = nullptr;
  /// Names a row in an exposition; if null, there is one row. It gives the same names for every row.
  MetricLabels (*labels)(const Row&) = nullptr;
};

/// A list that is a part of a snapshot.
template <class Row>
struct SnapshotPart : FieldList<Row> {
  std::vector<Row> (*rows)(const Snapshot&) = nullptr;
  bool is_object = false;  ///< whether there is at most one row, which is an object in JSON and not a list
};

namespace detail {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

/// An optional that is empty is not known.
template <class T>
[[nodiscard]] FieldValue to_value(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(to_string(value));
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return std::uint64_t{value};
  } else if constexpr (IsOptional<T>::value) {
    return value ? to_value(*value) : FieldValue(nullptr);
  } else {
    return value;
  }
}

template <auto Member>
struct ValueOf;
template <class Row, class T, T Row::*Member>
struct ValueOf<Member> {
  static FieldValue get(const Row& row) { return to_value(row.*Member); }
};

}  // namespace detail

/// The Field::get for a member: value_of<&WorkerStatus::pid>.
template <auto Member>
inline constexpr auto value_of = &detail::ValueOf<Member>::get;

}  // namespace weir
