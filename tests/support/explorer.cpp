// SPDX-License-Identifier: Apache-2.0
#include "support/explorer.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fmt/format.h>

#include "base/hash.hpp"

namespace weir::test {

namespace {

detail::Pair read(const std::byte* word, std::size_t size) {
  detail::Pair value;
  if (word != nullptr) std::memcpy(&value, word, std::min(size, sizeof value));
  return value;
}

template <typename T>
std::uint64_t hash_of(const T& values) {
  return detail::checksum(std::as_bytes(std::span(values)));
}

}  // namespace

Explorer::Explorer(const Program& program, const Options& options) : program_(program), options_(options) {
  assert(active == nullptr && "one exploration at a time");
  active = this;
  alive_.fill(1);
  program_.shared(alive_, "alive");
  for (std::size_t i = 0; i < program_.processes_.size(); ++i) {
    program_.name(alive_[i], "alive(" + program_.processes_[i].name + ")");
  }
  for (const auto& [bytes, name] : program_.shared_) {
    initial_.insert(initial_.end(), bytes.begin(), bytes.end());
  }
}

Verdict Explorer::run() {
  do {
    execute();
  } while (verdict_.ok() && backtrack());
  restore();
  verdict_.states = states_.size();
  if (!verdict_.ok()) {
    verdict_.story = Story(program_).tell(trace_);
  } else if (verdict_.states < options_.min_states) {
    verdict_.failure =
        fmt::format("{} states, at least {} were expected", verdict_.states, options_.min_states);
  }
  return verdict_;
}

/// One execution: it follows the path, then takes the first choices until all processes have ended or the
/// state is known.
void Explorer::execute() {
  restart();
  for (std::size_t depth = 0; verdict_.ok(); ++depth) {
    if (depth == path_.size()) {
      if (!visit()) return;
      path_.push_back({actions()});
    }
    const Choice& choice = path_[depth];
    const Action action = choice.actions[choice.current];
    if (action.kind != Action::end) {
      perform(action, depth);
      continue;
    }
    ++verdict_.executions;
    complain(program_.check_());
    return;
  }
}

void Explorer::restore() {
  const std::byte* from = initial_.data();
  for (const NamedBytes& shared : program_.shared_) {
    std::memcpy(shared.bytes.data(), from, shared.bytes.size());
    from += shared.bytes.size();
  }
}

void Explorer::restart() {
  restore();
  last_ = kNobody;
  preemptions_ = 0;
  kills_ = 0;
  for (std::size_t i = 0; i < program_.processes_.size(); ++i) {
    processes_[i].history = 0;
    processes_[i].asleep = nullptr;
    processes_[i].fiber.start(program_.processes_[i].body);
    resume(i);
  }
}

/// @return false if the state is known, and therefore all that can follow.
bool Explorer::visit() {
  complain(program_.invariant_());
  const bool is_new = states_.insert(state()).second;
  return is_new || !options_.prune;
}

std::uint64_t Explorer::state() {
  snapshot_.clear();
  for (const auto& [bytes, name] : program_.shared_) {
    snapshot_.insert(snapshot_.end(), bytes.begin(), bytes.end());
  }
  std::array<std::uint64_t, Program::kMaxProcesses + 2> control{};
  for (std::size_t i = 0; i < program_.processes_.size(); ++i) control[i] = processes_[i].history;
  if (options_.max_preemptions) {
    control[Program::kMaxProcesses] = last_;
    control[Program::kMaxProcesses + 1] = preemptions_;
  }
  const auto bytes = std::as_bytes(std::span(control));
  snapshot_.insert(snapshot_.end(), bytes.begin(), bytes.end());
  return hash_of(snapshot_);
}

/// Processes that may continue, the last one first; then processes that may be killed. It is never empty: at
/// the end it has `end`.
std::vector<Explorer::Action> Explorer::actions() const {
  std::vector<Action> result;
  const auto add = [&](Action::Kind kind, std::size_t process) {
    result.push_back({kind, static_cast<std::uint8_t>(process)});
  };
  const std::size_t count = program_.processes_.size();
  const bool stays = running(last_);
  if (stays) add(Action::step, last_);
  if (!stays || !options_.max_preemptions || preemptions_ < *options_.max_preemptions) {
    for (std::size_t i = 0; i < count; ++i) {
      if (i != last_ && running(i)) add(Action::step, i);
    }
  }
  if (result.empty()) add(Action::end, 0);
  for (std::size_t i = 0; i < count && kills_ < options_.max_kills; ++i) {
    if (alive_[i] != 0) add(Action::kill, i);
  }
  return result;
}

bool Explorer::running(std::size_t process) const noexcept {
  if (process == kNobody || alive_[process] == 0 || processes_[process].fiber.ended()) return false;
  const std::uint64_t* const asleep = processes_[process].asleep;
  return asleep == nullptr || *asleep == 0;
}

void Explorer::perform(Action action, std::size_t depth) {
  Step step = processes_[action.process].next;
  if (action.kind == Action::kill) {
    step.killed = true;
    alive_[action.process] = 0;              // its fiber is left where it stands,
    processes_[action.process].history = 0;  // and what it had learned no longer matters
    ++kills_;
  } else if (running(action.process)) {
    step = access(action.process);
  }
  ++verdict_.steps;
  if (depth == trace_.size()) {
    trace_.push_back(step);
  } else if (trace_[depth] != step) {
    complain("the same choices gave different steps: something that changes was not declared with shared()");
  }
  if (depth >= options_.max_steps) {
    complain(fmt::format("more than {} steps: a process spins, or waits for another", options_.max_steps));
  }
}

Step Explorer::access(std::size_t process) {
  Process& it = processes_[process];
  if (last_ != process && running(last_)) ++preemptions_;
  last_ = process;

  Step step = it.next;
  step.before = read(step.word, step.size);
  exchange_done_ = true;
  resume(process);
  step.done = exchange_done_;
  step.after = read(step.word, step.size);

  // A process learns nothing from a store. Whether an exchange was done follows from the value that it met.
  const detail::Pair learned = step.access == detail::Access::store ? detail::Pair{} : step.before;
  it.history = hash_of(std::array{it.history, learned.first, learned.second});
  return step;
}

/// Lets a process run to its next access, or to its end.
void Explorer::resume(std::size_t process) {
  processes_[process].next = Step{.process = ProcessId(process)};
  current_ = process;
  processes_[process].fiber.resume();
  current_ = kNobody;
}

void Explorer::before_access(detail::Access access, const void* word, std::size_t size) noexcept {
  if (current_ == kNobody) return;
  Process& it = processes_[current_];
  it.next = {.process = ProcessId(current_),
             .access = access,
             .word = static_cast<const std::byte*>(word),
             .size = size};
  if (!declared(it.next.word, size))
    complain("a word that was not declared with shared() is about to be used");
  it.fiber.pause();
}

bool Explorer::alive(std::size_t process) noexcept {
  before_access(detail::Access::load, &alive_[process], sizeof alive_[process]);
  return alive_[process] != 0;
}

void Explorer::sleep(const std::uint64_t& asleep) noexcept {
  if (current_ == kNobody) return;
  Process& it = processes_[current_];
  it.asleep = &asleep;
  before_access(detail::Access::load, &asleep, sizeof asleep);
  it.asleep = nullptr;
}

bool Explorer::declared(const std::byte* word, std::size_t size) const noexcept {
  return std::ranges::any_of(program_.shared_, [&](const NamedBytes& shared) {
    return word >= shared.bytes.data() && word + size <= shared.bytes.data() + shared.bytes.size();
  });
}

/// Moves on to the next choice that was not tried yet. @return false if all were tried.
bool Explorer::backtrack() {
  while (!path_.empty() && path_.back().current + 1 == path_.back().actions.size()) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().current;
  trace_.resize(path_.size() - 1);
  return true;
}

}  // namespace weir::test
