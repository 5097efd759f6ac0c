// SPDX-License-Identifier: Apache-2.0

// What every key means, from the lists of weir/fields.hpp: for --help, for the command `fields`, and as the page
// docs/inspector.md.

#include <cstddef>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "weir/fields.hpp"

#include "render.hpp"

namespace weir::shm_inspect {
namespace {

/// Breaks a text into lines that end before column 100, each but the first behind `indent` blanks.
std::string wrapped(std::string_view text, std::size_t indent) {
  constexpr std::size_t kWidth = 100;
  std::string result;
  while (indent + text.size() > kWidth) {
    const std::size_t space = text.rfind(' ', kWidth - indent);
    if (space == text.npos || space == 0) break;
    result += std::string(text.substr(0, space)) + '\n' + std::string(indent, ' ');
    text.remove_prefix(space + 1);
  }
  return result + std::string(text) + '\n';
}

/// "  key                what it means"
std::string line(std::size_t depth, std::string_view key, std::string_view help) {
  constexpr std::size_t kColumn = 23;
  return fmt::format("{:{}}{:<{}}", "", 2 * depth, key, kColumn - 2 * depth) + wrapped(help, kColumn);
}

template <class Row>
std::string lines(const FieldList<Row>& list, std::size_t depth) {
  std::string text;
  for (const Field<Row>& field : list.fields) {
    if (!field.key.empty()) text += line(depth, field.key, field.help);
  }
  return text;
}

/// The list under its key, which is indented by `depth`; without one its fields stand alone.
template <class Row>
std::string listed(const FieldList<Row>& list, std::size_t depth) {
  if (list.key.empty()) return lines(list, depth);
  return line(depth, list.key, list.help) + lines(list, depth + 1);
}

std::string status_keys() {
  std::string text = listed(kSegmentFields, 1);
  for_each_part([&](const auto& part) { text += listed(part, 1); });
  return text;
}

/// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

template <class Row>
std::string section(const FieldList<Row>& list, std::string_view heading) {
  std::string text = fmt::format("### {}\n\n{}\n\n", heading, list.help);
  if (list.fields.size() == 1 && list.fields.front().key.empty()) return text;
  text += "| Key | Kind | Unit | Meaning |\n|---|---|---|---|\n";
  for (const Field<Row>& field : list.fields) {
    text +=
        fmt::format("| `{}` | {} | {} | {}{}{} |\n", field.key, to_string(field.kind), to_string(field.unit),
                    cell(field.help), field.more.empty() ? "" : " ", cell(field.more));
  }
  return text + "\n";
}

template <class Row>
std::string section(const FieldList<Row>& list) {
  return section(list, fmt::format("`{}`", list.key));
}

/// The labels of a metric: of its rows, those that tell its fields apart, and the states of one.
template <class Row>
std::string labels_of(const FieldList<Row>& list, const Field<Row>& first) {
  std::vector<std::string> labels;
  if (list.labels != nullptr) {
    for (const auto& [name, value] : list.labels(Row())) labels.push_back(fmt::format("`{}`", name));
  }
  std::string fixed;
  for (const Field<Row>& field : list.fields) {
    if (field.metric.name != first.metric.name || field.metric.labels.empty()) continue;
    const std::size_t equals = field.metric.labels.find('=');
    const std::string_view name = field.metric.labels.substr(0, equals);
    const std::string_view value = field.metric.labels.substr(equals + 1);
    fixed += fmt::format("{}`{}`", fixed.empty() ? fmt::format("`{}` = ", name) : ", ", value);
  }
  if (!fixed.empty()) labels.push_back(fixed);
  if (!first.metric.states.empty())
    labels.push_back(fmt::format("`{}` = `\"{}\"`", first.key, fmt::join(first.metric.states, "\"`, `\"")));
  return fmt::format("{}", fmt::join(labels, "; "));
}

/// The table of all series, in the order of an exposition.
std::string metrics_section() {
  std::string text =
      "## `metrics`\n\nThe series of `shm-inspect metrics` and of `weir/report.hpp`. A label without a value "
      "is left "
      "out; with\nseveral segments each series has the label `segment`, too.\n\n"
      "| Series | Type | Labels | Meaning |\n|---|---|---|---|\n";
  std::set<std::string_view> seen;
  const auto add = [&]<class Row>(const FieldList<Row>& list) {
    for (const Field<Row>& field : list.fields) {
      if (field.metric.name.empty() || !seen.insert(field.metric.name).second) continue;
      const bool histogram = std::holds_alternative<Histogram>(field.get(Row()));
      text += fmt::format("| `weir_{}` | {} | {} | {} |\n", field.metric.name,
                          histogram                          ? "histogram"
                          : field.kind == FieldKind::counter ? "counter"
                                                             : "gauge",
                          labels_of(list, field),
                          cell(field.metric.help.empty() ? field.help : field.metric.help));
    }
  };
  for_each_metric_list(Snapshot(), [&](const auto& list, const auto&) { add(list); });
  return text + "\n";
}

}  // namespace

std::string render_status_keys() {
  return "The keys of --json; shm-inspect fields says more:\n" + status_keys();
}

std::string render_list_keys() {
  return "The keys of --json:\n" + listed(kSegmentEntryFields, 1);
}

std::string render_fields() {
  return "status, workers:\n" + status_keys() +                    //
         "\nusers, user:\n" + listed(kUserFields, 1) +             //
         "\nlist:\n" + listed(kSegmentEntryFields, 1) +            //
         "\nhistory:\n" + listed(kHistoryFields, 1) +              //
         "\nevents:\n" + listed(kEventFields, 1) +                 //
         "\nset, apply, rollback:\n" + listed(kChangeFields, 1) +  //
         "\ncheck:\n" + listed(kValueFields, 1) +                  //
         "\nreset:\n" + listed(kResetFields, 1);
}

std::string render_fields_markdown() {
  std::string text =
      "# weir: what the inspector shows\n\n"
      "Every value that `shm-inspect` shows, by its key in `--json`. This page is made by `shm-inspect "
      "fields\n"
      "--markdown` from the lists in `include/weir/fields.hpp`, which the screens, `--json` and `--help` "
      "walk as\n"
      "well; a program of yours can do the same (`weir::for_each_part()`, `weir::as_json()`).\n\n"
      "A *label* says what a row is about or how it is configured, a *state* is one of a few words, a "
      "*gauge* goes\n"
      "up and down, and a *counter* only goes up while the segment lives. Keys that end in `_s` are seconds, "
      "with a\n"
      "fraction. A key that says nothing about a row is left out of it; `null` means that the value is not "
      "known.\n"
      "A snapshot is exact word by word; the whole is not one instant.\n\n"
      "## `status`, `workers`\n\n";
  text += section(kSegmentFields, "The segment");
  for_each_part([&](const auto& part) { text += section(part); });
  text += metrics_section();
  text += "## `users`, `user`\n\n" + section(kUserFields);
  text += "## `list`\n\n" + section(kSegmentEntryFields);
  text += "## `history`\n\n" + section(kHistoryFields);
  text +=
      "## `events`\n\nBeside the list: `last`, the number up to which it is complete. With `--follow` each "
      "row is an "
      "object on a line of its own.\n\n" +
      section(kEventFields);
  text +=
      "## `set`, `apply`, `rollback`\n\nBeside the list: `generation`, that of the segment after it, and "
      "`dry_run`; and `resets`, of a rollback: the generations that were resets, which it passed over.\n\n" +
      section(kChangeFields);
  text +=
      "## `check`\n\nBeside the list: `remarks`, what an operator should know of a configuration that is "
      "valid, each with `key`, `text`, and `warning`, whether something cannot be what was meant. Without "
      "`--json` they are written to the standard error.\n\n" +
      section(kValueFields);
  text += "## `reset`\n\nBeside the report: `dry_run`.\n\n" + section(kResetFields, "The report");
  text.pop_back();
  return text;
}

}  // namespace weir::shm_inspect
