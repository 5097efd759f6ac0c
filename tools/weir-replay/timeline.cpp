// SPDX-License-Identifier: Apache-2.0
#include "timeline.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace weir::replay {
namespace {

// The clock of a segment serves for a little longer than this.
constexpr std::chrono::nanoseconds kLongestLog = std::chrono::days(3 * 365);
constexpr std::size_t kExcerpt = 400;

// Finds the stretch that holds the most requests and is no longer than a segment serves: [first, last] of a
// sorted list.
std::pair<LogTime, LogTime> main_stretch(const std::vector<LogTime>& times) {
  std::size_t best_begin = 0;
  std::size_t best_end = 0;
  for (std::size_t begin = 0; begin < times.size();) {
    std::size_t end = begin + 1;
    while (end < times.size() && times[end] - times[end - 1] <= kLongestLog) ++end;
    if (end - begin > best_end - best_begin) best_begin = begin, best_end = end;
    begin = end;
  }
  return {times[best_begin], times[best_end - 1]};
}

}  // namespace

Timeline::Timeline(std::vector<LogSource>& logs, Names& names, const Routes& routes, Settings settings)
    : logs_(logs),
      names_(names),
      routes_(routes),
      settings_(std::move(settings)),
      parser_(settings_.user),
      bar_([&] {
        std::uint64_t bytes = 0;
        for (const LogSource& log : logs) bytes += log.size();
        return bytes;
      }()) {}

void Timeline::note_unparsed(const BadLine& line) {
  const BadLine& first = notes_.first_unparsed;
  ++notes_.unparsed;
  if (first.line == 0 || std::pair(line.log, line.line) < std::pair(first.log, first.line)) {
    notes_.first_unparsed = line;
  }
}

void Timeline::take(const LogEntry& entry) {
  UserNumber user = kNobody;
  if (entry.is_address) {
    user = names_.number_of_client(address_.assign(entry.user));
  } else {
    user = names_.number_of(entry.user);
  }
  if (latest_of_log_ && entry.time < *latest_of_log_) ++notes_.out_of_order;
  latest_of_log_ = std::max(latest_of_log_.value_or(entry.time), entry.time);
  held_.push_back(
      {entry.time, line_, user, routes_.operation_of(entry.path), static_cast<std::uint16_t>(log_)});
}

// Reads until as many requests are held as allowed, or there are no more.
void Timeline::read() {
  std::string_view line;
  while (log_ < logs_.size()) {
    while (settings_.window == 0 || held_.size() < settings_.window) {
      if (!logs_[log_].next(line)) break;
      ++line_;
      ++notes_.lines;
      if (line_ % 4096 == 0) {
        std::uint64_t taken = 0;
        for (const LogSource& log : logs_) taken += log.taken();
        bar_.show(taken);
      }
      if (const auto entry = parser_.parse(line)) {
        take(*entry);
      } else {
        note_unparsed({static_cast<std::uint16_t>(log_), line_, std::string(line.substr(0, kExcerpt))});
      }
    }
    if (settings_.window != 0 && held_.size() >= settings_.window) return;
    ++log_;
    line_ = 0;
    latest_of_log_.reset();
  }
  bar_.clear();
}

// One line with a wrong year must not move the clock of all the others, so it is a bad line.
void Timeline::drop_strays() {
  LogTime from = last_ - kLongestLog;
  LogTime until = last_ + kLongestLog;
  if (!begun_) {
    const auto [least, most] = std::minmax_element(
        held_.begin(), held_.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
    if (most->time - least->time <= kLongestLog) return;
    std::vector<LogTime> times;
    times.reserve(held_.size());
    for (const TimedRequest& request : held_) times.push_back(request.time);
    std::sort(times.begin(), times.end());
    std::tie(from, until) = main_stretch(times);
  }
  std::erase_if(held_, [&](const TimedRequest& request) {
    if (request.time >= from && request.time <= until) return false;
    note_unparsed(
        {request.log, request.line,
         fmt::format("a time of {}, more than 3 years from all others", to_iso_text(request.time))});
    return true;
  });
}

// A request that comes late counts at the time that has been reached.
void Timeline::set_times(std::span<TimedRequest> requests) {
  for (TimedRequest& request : requests) {
    if (!std::exchange(begun_, true)) first_ = last_ = request.time;
    if (request.time < last_) ++notes_.too_late;
    request.time = last_ = std::max(last_, request.time);
    if (last_ - first_ > kLongestLog) {
      throw std::runtime_error(fmt::format(
          "log \"{}\" line {}: more than 3 years after the first request; replay the log in parts",
          logs_[request.log].name(), request.line));
    }
    if (request.user == kNobody) ++notes_.nameless;
  }
  notes_.requests += requests.size();
}

std::span<const TimedRequest> Timeline::next() {
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(released_));
  released_ = 0;
  while (released_ == 0) {
    read();
    if (held_.empty()) return {};
    drop_strays();
    if (held_.empty()) continue;
    const bool all = log_ == logs_.size();
    if (settings_.sort) {
      std::stable_sort(held_.begin(), held_.end(),
                       [](const TimedRequest& a, const TimedRequest& b) { return a.time < b.time; });
    }
    // Requests that are kept wait for others that belong before them.
    released_ = all || !settings_.sort ? held_.size() : (held_.size() + 1) / 2;
  }
  set_times(std::span(held_).first(released_));
  return std::span(held_).first(released_);
}

}  // namespace weir::replay
