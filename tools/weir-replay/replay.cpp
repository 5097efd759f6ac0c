#include "replay.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <stdexcept>

namespace weir::replay {
namespace {

// A segment's clock serves for a little longer than this.
constexpr std::chrono::seconds kLongestLog = std::chrono::days(3 * 365);

// Moves the log's clock to the time of a request, never back, and returns how long it has run.
std::chrono::seconds advance(Progress& progress, std::chrono::sys_seconds time) {
  if (progress.requests++ == 0) progress.first = progress.now = time;
  progress.now = std::max(progress.now, time);
  return progress.now - progress.first;
}

std::string_view take_line(std::string_view& block) {
  const std::string_view line = block.substr(0, block.find('\n'));
  block.remove_prefix(std::min(line.size() + 1, block.size()));
  return line;
}

}  // namespace

void Replayer::read(std::string_view block) {
  requests_.clear();
  lines_ = unparsed_ = 0;
  while (!block.empty()) {
    const std::string_view line = take_line(block);
    ++lines_;
    if (const auto entry = parser_.parse(line)) {
      requests_.push_back({*entry, lines_});
    } else if (unparsed_++ == 0) {
      first_unparsed_line_ = lines_;
      first_unparsed_ = line;
    }
  }
}

void Replayer::decide(Progress& progress) {
  for (const Request& request : requests_) decide_one(request, progress);
  if (unparsed_ > 0) {
    tally_.count_unparsed(unparsed_, progress.lines + first_unparsed_line_, first_unparsed_);
  }
  progress.lines += lines_;
  tally_.reached = progress;
}

void Replayer::decide_one(const Request& request, Progress& progress) {
  const std::uint64_t line = progress.lines + request.line;
  const std::chrono::seconds elapsed = advance(progress, request.entry.time);
  if (elapsed > kLongestLog) {
    throw std::runtime_error(
        fmt::format("log line {}: more than 3 years after the first request; replay the log in parts", line));
  }
  const Admission admission = scenario_.limiter.admit_at(scenario_.start + elapsed, scenario_.operation,
                                                         {.user = request.entry.user});
  tally_.count(request.entry.user, admission.decision());
  if (scenario_.decisions != nullptr) write_decision(line, admission.decision());
}

void Replayer::write_decision(std::uint64_t line, const Decision& decision) {
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", line, to_string(decision.verdict),
                 name_of(scenario_.limiter, decision.limit), decision.retry_after.count());
  if (std::fwrite(text.data(), 1, text.size(), scenario_.decisions) != text.size()) {
    throw std::runtime_error(fmt::format("decisions: {}", std::strerror(errno)));
  }
}

std::string name_of(const Limiter& limiter, LimitId limit) {
  std::string name = limiter.limit_name(limit);
  return name.empty() ? "-" : name;
}

}  // namespace weir::replay
