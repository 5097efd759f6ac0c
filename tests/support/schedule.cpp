// SPDX-License-Identifier: Apache-2.0
#include "support/schedule.hpp"

#include <cassert>
#include <chrono>
#include <fmt/format.h>
#include <ostream>

#include "base/word.hpp"
#include "support/explorer.hpp"

namespace weir::test {

ProcessId Program::process(std::string name, std::function<void()> body) {
  assert(processes_.size() < kMaxProcesses);
  processes_.push_back({std::move(name), std::move(body)});
  return ProcessId(processes_.size() - 1);
}

Program& Program::shared(std::span<std::byte> bytes, const std::string& name) {
  shared_.push_back({bytes, name});
  names_.push_back({bytes, name});
  return *this;
}

bool Program::alive(ProcessId process) const noexcept {
  return Explorer::active->alive(static_cast<std::size_t>(process));
}

void Program::sleep(const std::uint64_t& asleep) const {
  Explorer::active->sleep(asleep);
}

void Program::require(bool holds, const char* complaint) const {
  if (!holds) Explorer::active->complain(complaint);
}

namespace {

/// Finds the same failure with the fewest preemptions, which is the easiest to understand.
Verdict simplest(const Program& program, Options options, const Verdict& found) {
  constexpr unsigned kEnough = 8;
  for (options.max_preemptions = 0; *options.max_preemptions < kEnough; ++*options.max_preemptions) {
    Verdict simpler = Explorer(program, options).run();
    if (!simpler.story.empty()) return simpler;
  }
  return found;
}

}  // namespace

Verdict explore(const Program& program, const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  Verdict verdict = Explorer(program, options).run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print("[schedules] {} executions, {} states, {} steps at {:.1f} million/s\n", verdict.executions,
             verdict.states, verdict.steps, static_cast<double>(verdict.steps) / took.count() / 1e6);
  const bool told = !verdict.story.empty();
  return told && !options.max_preemptions ? simplest(program, options, verdict) : verdict;
}

std::ostream& operator<<(std::ostream& out, const Verdict& verdict) {
  out << (verdict.ok() ? "no failure" : verdict.failure) << "\nin " << verdict.executions << " executions, "
      << verdict.states << " states, " << verdict.steps << " steps\n";
  return out << verdict.story;
}

}  // namespace weir::test

namespace weir::detail::hooks {

void before_access(Access access, const void* word, std::size_t size) noexcept {
  if (auto* const explorer = test::Explorer::active) explorer->before_access(access, word, size);
}

void after_exchange(bool done) noexcept {
  if (auto* const explorer = test::Explorer::active) explorer->after_exchange(done);
}

}  // namespace weir::detail::hooks
