// SPDX-License-Identifier: Apache-2.0
#include "top_rows.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <sstream>
#include <variant>

#include "weir/config.hpp"
#include "weir/field.hpp"
#include "weir/field_table.hpp"
#include "weir/text.hpp"

#include "render.hpp"
#include "screen.hpp"

namespace weir::shm_inspect {
namespace {

using std::chrono::nanoseconds;

constexpr double kManyErrors = 0.1;  // of the calls of the last minute

std::string percent(const std::optional<double>& part) {
  return part ? fmt::format("{:.1f} %", 100 * *part) : "-";
}

std::string time_or_dash(const std::optional<nanoseconds>& time) {
  return time && time->count() != 0 ? format_duration(*time) : "-";
}

/// "[######....] 12/20"
std::string bar_of(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{} {}/{}", bar(part, whole), part, whole);
}

/// "rate[0]" of "operations.caption_generation.rate[0]".
std::string_view short_name(const LimitStatus& limit) {
  const std::size_t at = limit.operation.empty() ? limit.name.npos : limit.name.find(limit.operation);
  const std::string_view name = limit.name;
  if (at == name.npos) return name;
  const std::size_t dot = name.find('.', at + limit.operation.size());
  return dot == name.npos ? name : name.substr(dot + 1);
}

void add_limit(OperationRow& row, const LimitStatus& limit) {
  const bool is_permits = std::holds_alternative<Concurrency>(limit.rule);
  if (limit.mode != Mode::enforced || limit.capacity == 0 || limit.per_user) return;
  if (is_permits) {
    row.in_flight = limit.used;
    row.permits = limit.capacity;
  }
  row.is_idle = row.is_idle && limit.used == 0;
  const double used = static_cast<double>(limit.used) / static_cast<double>(limit.capacity);
  if (!row.tightest.empty() && used <= row.tightness) return;
  row.tightness = used;
  row.tightest = fmt::format("{} {} {}/{}", bar(limit.used, limit.capacity), short_name(limit), limit.used,
                             limit.capacity);
}

void add_breaker(OperationRow& row, const BreakerStatus& breaker) {
  row.breaker = to_string(breaker.state);
  if (breaker.state == BreakerState::open && breaker.next_probe.count() != 0)
    row.breaker += " " + format_duration(breaker.next_probe);
  const bool is_closed = breaker.state == BreakerState::closed || breaker.state == BreakerState::disabled ||
                         breaker.state == BreakerState::metrics_only;
  if (is_closed) return;
  row.needs_attention = true;
  row.is_idle = false;
}

std::optional<double> part_of(std::uint64_t part, std::uint64_t rest) {
  if (part + rest == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(part + rest);
}

/// What became of its requests: a second since the look before, and the parts of the last minute.
void add_counts(OperationRow& row, const OperationStatus& now, const Look* before, double seconds) {
  if (!now.counted) return;
  if (row.permits == 0) row.in_flight = now.in_flight;
  row.refused = part_of(now.minute_refused, now.minute_admitted);
  row.failed = now.error_rate();
  row.p50 = now.p50;
  row.p99 = now.p99;
  row.is_idle = row.is_idle && now.in_flight == 0 && now.minute_admitted + now.minute_refused == 0;
  row.needs_attention = row.needs_attention || row.failed.value_or(0) > kManyErrors;
  if (before == nullptr || seconds <= 0) return;
  for (const OperationStatus& was : before->snapshot.operations) {
    if (was.name == now.name && now.admitted >= was.admitted)
      row.admitted = static_cast<double>(now.admitted - was.admitted) / seconds;
  }
}

std::string rule_text(const LimitStatus& limit) {
  return std::visit(
      [](const auto& rule) -> std::string {
        using T = std::decay_t<decltype(rule)>;
        if constexpr (std::is_same_v<T, Rate>) return format_rate(rule);
        if constexpr (std::is_same_v<T, Window>) return format_window(rule);
        if constexpr (std::is_same_v<T, Concurrency>) return std::to_string(rule.limit);
        if constexpr (std::is_same_v<T, Cooldown>) return "for " + format_exact_duration(rule.length);
      },
      limit.rule);
}

std::string use_text(const LimitStatus& limit) {
  if (limit.per_user) return fmt::format("{} users, {} exhausted", limit.users, limit.exhausted);
  if (limit.capacity == 0)
    return limit.resets_in.count() == 0 ? "off" : "on for " + format_duration(limit.resets_in);
  return bar_of(limit.used, limit.capacity);
}

void add_lines(std::vector<PageLine>& page, const std::string& text, bool alarm = false) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) page.push_back({line, alarm});
}

template <auto Member>
bool more(const OperationRow& a, const OperationRow& b) {
  return a.*Member > b.*Member;
}

constexpr std::array kColumns{
    OperationColumn{"OPERATION", 20, 9, false, [](const OperationRow& row) { return printable(row.name); },
                    [](const OperationRow& a, const OperationRow& b) { return a.name < b.name; }},
    OperationColumn{"BREAKER", 11, 8, false, [](const OperationRow& row) { return row.breaker; },
                    more<&OperationRow::needs_attention>},
    OperationColumn{"ADMIT/s", 8, 7, true,
                    [](const OperationRow& row) {
                      return row.admitted ? fmt::format("{:.1f}", *row.admitted) : std::string("-");
                    },
                    more<&OperationRow::admitted>},
    OperationColumn{"REFUSED", 8, 6, true, [](const OperationRow& row) { return percent(row.refused); },
                    more<&OperationRow::refused>},
    OperationColumn{"ERRORS", 7, 5, true, [](const OperationRow& row) { return percent(row.failed); },
                    more<&OperationRow::failed>},
    OperationColumn{"P50", 7, 1, true, [](const OperationRow& row) { return time_or_dash(row.p50); },
                    more<&OperationRow::p50>},
    OperationColumn{"P99", 7, 3, true, [](const OperationRow& row) { return time_or_dash(row.p99); },
                    more<&OperationRow::p99>},
    OperationColumn{"IN FLIGHT", 9, 4, true,
                    [](const OperationRow& row) {
                      return row.permits == 0 ? std::to_string(row.in_flight)
                                              : fmt::format("{}/{}", row.in_flight, row.permits);
                    },
                    more<&OperationRow::in_flight>},
    OperationColumn{
        "TIGHTEST LIMIT", 34, 2, false,
        [](const OperationRow& row) { return row.tightest.empty() ? "-" : printable(row.tightest); },
        more<&OperationRow::tightness>}};

std::string cell(const OperationColumn& column, std::string_view text) {
  const std::string cut = cut_line(text, column.width);
  const auto shown = static_cast<std::size_t>(std::count_if(
      cut.begin(), cut.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
  const std::string blanks(column.width - shown, ' ');
  return column.right ? blanks + cut : cut + blanks;
}

}  // namespace

std::vector<OperationRow> operation_rows(const Look& now, const std::optional<Look>& before) {
  const bool is_same = before && before->snapshot.uuid == now.snapshot.uuid;
  const double seconds = is_same ? std::chrono::duration<double>(now.when - before->when).count() : 0;
  std::vector<OperationRow> rows;
  for (const auto& [name, policy] : now.snapshot.config.operations) {
    OperationRow row;
    row.name = name;
    for (const LimitStatus& limit : now.snapshot.limits) {
      if (limit.operation == name) add_limit(row, limit);
    }
    for (const BreakerStatus& breaker : now.snapshot.breakers) {
      if (breaker.operation == name) add_breaker(row, breaker);
    }
    for (const OperationStatus& operation : now.snapshot.operations) {
      if (operation.name == name) add_counts(row, operation, is_same ? &*before : nullptr, seconds);
    }
    for (const WaiterStatus& waiter : now.snapshot.waiters) row.waiting += waiter.operation == name ? 1 : 0;
    row.is_idle = row.is_idle && row.waiting == 0;
    row.needs_attention = row.needs_attention || row.tightness >= 1;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<OperationColumn> columns_for(std::size_t width) {
  std::vector<OperationColumn> columns(kColumns.begin(), kColumns.end());
  const auto needed = [&] {
    std::size_t sum = columns.size() - 1;
    for (const OperationColumn& column : columns) sum += column.width;
    return sum;
  };
  while (columns.size() > 1 && needed() > width)
    columns.erase(std::ranges::min_element(columns, {}, &OperationColumn::importance));
  return columns;
}

std::string line_of(const std::vector<OperationColumn>& columns, const OperationRow& row) {
  std::string line;
  for (const OperationColumn& column : columns)
    line += (line.empty() ? "" : " ") + cell(column, column.text(row));
  return line;
}

std::string titles_of(const std::vector<OperationColumn>& columns) {
  std::string line;
  for (const OperationColumn& column : columns)
    line += (line.empty() ? "" : " ") + cell(column, column.title);
  return line;
}

std::vector<PageLine> heading(const Look& now, const std::vector<OperationRow>& rows) {
  const Snapshot& snapshot = now.snapshot;
  const auto dead = std::ranges::count_if(snapshot.workers, &WorkerStatus::dead);
  std::uint64_t in_flight = 0;
  double admitted = 0;
  for (const OperationRow& row : rows) {
    in_flight += row.in_flight;
    admitted += row.admitted.value_or(0);
  }
  std::uint64_t minute_admitted = 0;
  std::uint64_t minute_refused = 0;
  std::uint64_t minute_succeeded = 0;
  std::uint64_t minute_failed = 0;
  for (const OperationStatus& operation : snapshot.operations) {
    minute_admitted += operation.minute_admitted;
    minute_refused += operation.minute_refused;
    minute_succeeded += operation.minute_succeeded;
    minute_failed += operation.minute_failed;
  }
  std::vector<PageLine> lines;
  lines.push_back(
      {fmt::format("weir {}  up {}  workers {}/{}{}  users {}/{}  change {}", printable(snapshot.segment),
                   format_duration(snapshot.taken - snapshot.created), snapshot.workers.size(),
                   snapshot.worker_slots, dead == 0 ? "" : fmt::format(" ({} dead)", dead),
                   grouped(snapshot.table.active), grouped(snapshot.table.capacity), snapshot.generation)});
  const auto troubled = std::ranges::count_if(rows, &OperationRow::needs_attention);
  lines.push_back(
      {fmt::format(
           "{} of {} need attention  admitted {:.1f}/s  refused {}  errors {}  in flight {}  waiting {}",
           troubled, rows.size(), admitted, percent(part_of(minute_refused, minute_admitted)),
           percent(part_of(minute_failed, minute_succeeded)), in_flight, snapshot.waiters.size()),
       troubled != 0});
  return lines;
}

std::vector<PageLine> operation_page(const Look& now, const std::string& operation,
                                     const std::vector<UserEntry>& users) {
  std::vector<PageLine> page;
  page.push_back({printable(operation)});
  for (const OperationStatus& counts : now.snapshot.operations) {
    if (counts.name != operation || !counts.counted) continue;
    page.push_back({fmt::format("admitted {}, throttled {}, blocked {}, shed {}, circuit open {}, never {}",
                                grouped(counts.admitted), grouped(counts.throttled), grouped(counts.blocked),
                                grouped(counts.shed), grouped(counts.circuit_open), grouped(counts.never))});
    page.push_back({fmt::format("succeeded {}, failed {}, ignored {}, lost {}, in flight {}",
                                grouped(counts.succeeded), grouped(counts.failed), grouped(counts.ignored),
                                grouped(counts.lost), grouped(counts.in_flight))});
    page.push_back(
        {fmt::format("response time: mean {}  p50 {}  p90 {}  p99 {}  peak {}", time_or_dash(counts.mean()),
                     time_or_dash(counts.p50), time_or_dash(counts.p90), time_or_dash(counts.p99),
                     time_or_dash(counts.peak))});
  }
  for (const BreakerStatus& breaker : now.snapshot.breakers) {
    if (breaker.operation != operation) continue;
    page.push_back(
        {fmt::format("breaker {}, {} failures in a row, {} of {} calls failed", to_string(breaker.state),
                     breaker.failures_in_a_row, breaker.failures, breaker.calls),
         breaker.state == BreakerState::open || breaker.state == BreakerState::forced_open});
  }
  for (const QueueStatus& queue : now.snapshot.queues) {
    if (queue.name.find("." + operation + ".") == queue.name.npos) continue;
    page.push_back({fmt::format("queue {}, the oldest waits for {}", bar_of(queue.waiting, queue.queue.seats),
                                format_duration(queue.oldest))});
  }
  page.push_back({});
  TextTable limits({"LIMIT", "RULE", "USED", "MODE"});
  for (const LimitStatus& limit : now.snapshot.limits) {
    if (limit.operation != operation) continue;
    limits.add({printable(short_name(limit)), rule_text(limit), use_text(limit),
                std::string(to_string(limit.mode))});
  }
  add_lines(page, limits.text(false));
  page.push_back({});
  add_lines(page, render_users(users, false));
  return page;
}

}  // namespace weir::shm_inspect
