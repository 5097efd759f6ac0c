// SPDX-License-Identifier: Apache-2.0

// Snapshots as metrics for Prometheus: the fields that name one, by their lists.
//
// Both formats want the series of one name together, but a snapshot has them in the order of its rows. So the samples
// are gathered by name and written at the end. A reader of either format refuses everything if one series occurs twice,
// which two equal names in a damaged segment would do, so only the first one is written.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <variant>
#include <vector>

#include "weir/fields.hpp"
#include "weir/report.hpp"
#include "weir/text.hpp"

#include "base/result.hpp"

namespace weir {
namespace {

std::string text_of(double number) {
  std::array<char, 64> digits{};
  return {digits.data(), std::to_chars(digits.begin(), digits.end(), number, std::chars_format::fixed).ptr};
}

std::string seconds_text(std::chrono::nanoseconds time) {
  return text_of(std::chrono::duration<double>(time).count());
}

/// The value of an `le`. OpenMetrics wants a point in it.
std::string bound_text(std::chrono::nanoseconds bound) {
  std::string text = seconds_text(bound);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

/// A text between the quotes of a label.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c;
  }
  return result;
}

/// `a="b",c="d"`. What is not safe to print, a line feed too, is written as \x0a, so that each name stays one of its own.
std::string label(std::string_view name, std::string_view value) {
  return std::string(name).append("=\"").append(escaped(printable(value))).append("\"");
}

std::string joined(const std::string& labels, std::string_view more) {
  return labels.empty() || more.empty() ? labels + std::string(more)
                                        : std::string(labels).append(",").append(more);
}

/// All series of one name.
struct Family {
  std::string_view name;  ///< without the prefix
  std::string_view help;
  FieldKind kind = FieldKind::gauge;
  bool histogram = false;
  std::string samples{};
  std::unordered_set<std::string> seen{};  ///< the labels of these
};

class Exposition {
 public:
  void add(const Snapshot& snapshot, const std::string& segment) {
    for_each_metric_list(snapshot, [&](const auto& list, const auto& rows) {
      for (const auto& row : rows) add_row(list, row, segment);
    });
  }

  [[nodiscard]] std::string text(MetricsFormat format) const {
    const bool open = format == MetricsFormat::open_metrics;
    std::string text;
    for (const Family& family : families_) {
      const std::string name = "weir_" + std::string(open ? base_of(family) : family.name);
      const auto line = [&](std::string_view what, std::string_view says) {
        text.append("# ").append(what).append(" ").append(name).append(" ").append(says).append("\n");
      };
      line("HELP", family.help);
      line("TYPE", family.histogram ? "histogram" : family.kind == FieldKind::counter ? "counter" : "gauge");
      if (open) {
        for (const std::string_view unit : {"seconds", "bytes"}) {
          if (name.ends_with("_" + std::string(unit))) line("UNIT", unit);
        }
      }
      text += family.samples;
    }
    if (open) text += "# EOF\n";
    return text;
  }

 private:
  /// The name of a counter ends in _total; OpenMetrics calls the family by what stands before it.
  static std::string_view base_of(const Family& family) {
    constexpr std::string_view kTotal = "_total";
    std::string_view name = family.name;
    if (family.kind == FieldKind::counter && name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
    return name;
  }

  template <class Row>
  void add_row(const FieldList<Row>& list, const Row& row, const std::string& segment) {
    std::string labels = segment;
    if (list.labels != nullptr) {
      for (const auto& [name, value] : list.labels(row)) {
        if (!value.empty()) labels = joined(labels, label(name, value));
      }
    }
    for (const Field<Row>& field : list.fields) {
      if (!field.metric.name.empty()) add_field(field, field.get(row), joined(labels, field.metric.labels));
    }
  }

  template <class Row>
  void add_field(const Field<Row>& field, const FieldValue& value, const std::string& labels) {
    std::visit(
        [&](const auto& held) {
          using T = std::decay_t<decltype(held)>;
          if constexpr (std::is_same_v<T, std::monostate> || std::is_same_v<T, std::nullptr_t>) {
            return;
          } else if constexpr (std::is_same_v<T, std::string>) {
            for (const std::string_view state : field.metric.states) {
              add_sample(family_of(field), joined(labels, label(field.key, state)),
                         held == state ? "1" : "0");
            }
          } else if constexpr (std::is_same_v<T, Histogram>) {
            add_histogram(family_of(field), labels, held);
          } else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) {
            add_sample(family_of(field), labels, seconds_text(held));
          } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
            add_sample(family_of(field), labels, seconds_text(held.time_since_epoch()));
          } else if constexpr (std::is_same_v<T, double>) {
            add_sample(family_of(field), labels, text_of(held));
          } else {
            add_sample(family_of(field), labels, std::to_string(std::uint64_t{held}));
          }
        },
        value);
  }

  template <class Row>
  Family& family_of(const Field<Row>& field) {
    const auto found = std::ranges::find(families_, field.metric.name, &Family::name);
    if (found != families_.end()) return *found;
    const std::string_view help = field.metric.help.empty() ? field.help : field.metric.help;
    return families_.emplace_back(Family{field.metric.name, help, field.kind});
  }

  static void write(Family& family, std::string_view suffix, const std::string& labels,
                    std::string_view value) {
    family.samples.append("weir_").append(family.name).append(suffix);
    if (!labels.empty()) family.samples.append("{").append(labels).append("}");
    family.samples.append(" ").append(value).append("\n");
  }
  static void add_sample(Family& family, const std::string& labels, std::string_view value) {
    if (family.seen.insert(labels).second) write(family, "", labels, value);
  }
  static void add_histogram(Family& family, const std::string& labels, const Histogram& histogram) {
    family.histogram = true;
    if (!family.seen.insert(labels).second) return;
    std::uint64_t sum = 0;
    for (const auto& [at_most, count] : histogram.buckets) {
      sum += count;
      write(family, "_bucket", joined(labels, label("le", bound_text(at_most))), std::to_string(sum));
    }
    sum += histogram.longer;
    write(family, "_bucket", joined(labels, label("le", "+Inf")), std::to_string(sum));
    write(family, "_sum", labels, seconds_text(histogram.sum));
    write(family, "_count", labels, std::to_string(sum));
  }

  std::vector<Family> families_;
};

}  // namespace

Result<std::string> to_metrics(std::span<const Snapshot> snapshots, MetricsFormat format) noexcept {
  return detail::guarded([&]() -> Result<std::string> {
    Exposition exposition;
    for (const Snapshot& snapshot : snapshots)
      exposition.add(snapshot, snapshots.size() > 1 ? label("segment", snapshot.segment) : std::string());
    return exposition.text(format);
  });
}

Result<std::string> to_prometheus(const Snapshot& snapshot) noexcept {
  return to_metrics({&snapshot, 1}, MetricsFormat::prometheus);
}

Result<std::string> to_open_metrics(const Snapshot& snapshot) noexcept {
  return to_metrics({&snapshot, 1}, MetricsFormat::open_metrics);
}

}  // namespace weir
