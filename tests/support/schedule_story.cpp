// SPDX-License-Identifier: Apache-2.0
#include "support/schedule_story.hpp"

#include <fmt/format.h>

namespace weir::test {

namespace {

using detail::Access;

std::string_view verb(Access access) {
  switch (access) {
    case Access::load:
      return "load";
    case Access::store:
      return "store";
    case Access::exchange:
      return "exchange";
    case Access::add:
      return "add";
  }
  return "?";
}

/// Packed words are shown in hexadecimal, counts in decimal.
std::string number(std::uint64_t value) {
  return value < 1'000'000 ? fmt::format("{}", value) : fmt::format("{:#x}", value);
}

std::string value(detail::Pair pair, std::size_t size) {
  const bool is_pair = size == sizeof(detail::Pair);
  return is_pair ? fmt::format("{{{}, {}}}", number(pair.first), number(pair.second)) : number(pair.first);
}

std::string effect(const Step& step) {
  const std::string met = value(step.before, step.size);
  if (step.access == Access::load) return met;
  if (!step.done) return "not done, found " + met;
  return fmt::format("{} -> {}", met, value(step.after, step.size));
}

}  // namespace

std::string Story::tell(std::span<const Step> steps) const {
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i) text += fmt::format("{:4}  {}\n", i + 1, line(steps[i]));
  return text;
}

std::string Story::line(const Step& step) const {
  const std::string& who = program_.processes_[static_cast<std::size_t>(step.process)].name;
  if (step.killed && step.word == nullptr) return fmt::format("{:12} killed here, after its last step", who);
  const std::string word = name_of(step.word);
  if (step.killed) return fmt::format("{:12} killed here, before: {} {}", who, verb(step.access), word);
  return fmt::format("{:12} {:9} {}: {}", who, verb(step.access), word, effect(step));
}

/// The name of the smallest named object that contains the word.
std::string Story::name_of(const std::byte* word) const {
  const NamedBytes* best = nullptr;
  for (const NamedBytes& named : program_.names_) {
    const std::byte* const begin = named.bytes.data();
    if (word < begin || word >= begin + named.bytes.size()) continue;
    if (best == nullptr || named.bytes.size() <= best->bytes.size()) best = &named;
  }
  if (best == nullptr) return fmt::format("{}", static_cast<const void*>(word));
  const auto offset = word - best->bytes.data();
  return offset == 0 ? best->name : fmt::format("{}+{}", best->name, offset);
}

}  // namespace weir::test
