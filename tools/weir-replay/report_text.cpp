// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>
#include <iterator>

#include "weir/config.hpp"
#include "weir/text.hpp"

#include "report.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kBarWidth = 30;
constexpr std::size_t kExcerpt = 60;
constexpr std::size_t kLongestName = 40;

using Text = fmt::memory_buffer;

template <class... Args>
void add(Text& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

// A share above zero shows at least one mark.
std::string bar(std::uint64_t part, std::uint64_t whole) {
  const double share = percent(part, whole) / 100;
  return std::string(part == 0 ? 0 : std::max<std::size_t>(1, static_cast<std::size_t>(share * kBarWidth)),
                     '#');
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

void add_unparsed(Text& text, const Report& report) {
  const BadLine& first = report.notes.first_unparsed;
  if (report.notes.unparsed == 0) return;
  const std::string of_log = report.logs.size() > 1 ? " of " + report.logs[first.log] : "";
  add(text, "unparsed   {}, the first is line {}{}: \"{}\"\n", report.notes.unparsed, first.line, of_log,
      printable(first.text, kExcerpt));
}

void add_order(Text& text, const Report& report) {
  const ReadingNotes& notes = report.notes;
  if (notes.out_of_order > 0) {
    add(text, "order      {} requests were out of order{}\n", notes.out_of_order,
        report.sorted ? ", and were sorted by their times" : "");
  }
  if (notes.too_late > 0) {
    add(text, "late       {} requests came after later ones, and counted at their time; {}\n", notes.too_late,
        report.sorted ? "sort the log, or give it as a file" : "--sort puts them in order");
  }
}

void add_head(Text& text, const Report& report) {
  add(text, "log        {}\noperation  {}\n", joined(report.logs), report.operation);
  add(text, "requests   {} by {} users\n", report.counts.requests, report.users);
  if (report.notes.nameless > 0) {
    add(text, "no user    {} requests did not name a user, so limits per user were not applied\n",
        report.notes.nameless);
  }
  if (!report.from.empty()) {
    add(text, "time       {} to {} ({})\n", report.from, report.until, format_duration(report.span));
  }
  add_unparsed(text, report);
  add_order(text, report);
  if (!report.not_tried.empty()) {
    add(text,
        "not tried  {}: permits and breakers cannot refuse in a replay, because a log does not say\n"
        "           how many requests ran at once and which of them failed\n",
        joined(report.not_tried));
  }
}

void add_verdicts(Text& text, const Report& report) {
  const Counts& counts = report.counts;
  add(text, "\nadmitted {:>12}  {:5.1f} %\n", report.admitted(), percent(report.admitted(), counts.requests));
  add(text, "refused  {:>12}  {:5.1f} %\n", counts.refused, percent(counts.refused, counts.requests));
}

void add_limits(Text& text, const Report& report) {
  std::size_t width = 0;
  for (const LimitLine& limit : report.refused_by) width = std::max(width, limit.name.size());
  add(text, "\nrefused by\n");
  for (const LimitLine& limit : report.refused_by) {
    add(text, "  {:<{}} {:>10}  {}\n", limit.name, width, limit.refused,
        bar(limit.refused, report.counts.refused));
  }
}

void add_table(Text& text, std::string_view title, const std::vector<CountsLine>& lines) {
  const auto columns = [](const std::string& name) {  // characters of UTF-8, not bytes
    return static_cast<std::size_t>(std::count_if(
        name.begin(), name.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
  };
  std::size_t width = title.size() - 2;
  for (const CountsLine& line : lines) width = std::max(width, columns(printable(line.name, kLongestName)));
  add(text, "\n{:<{}} {:>10} {:>10}\n", title, width + 2, "requests", "refused");
  for (const CountsLine& line : lines) {
    const std::string name = printable(line.name, kLongestName);
    add(text, "  {}{} {:>10} {:>10}  {}\n", name, std::string(width - columns(name), ' '),
        line.counts.requests, line.counts.refused, bar(line.counts.refused, line.counts.requests));
  }
}

}  // namespace

std::string to_text(const Report& report) {
  Text text;
  add_head(text, report);
  add_verdicts(text, report);
  if (report.counts.refused > 0) add_limits(text, report);
  if (!report.by_operation.empty()) add_table(text, "operations", report.by_operation);
  if (!report.top_refused.empty()) add_table(text, "most refused users", report.top_refused);
  return fmt::to_string(text);
}

}  // namespace weir::replay
