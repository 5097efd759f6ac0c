// SPDX-License-Identifier: Apache-2.0
#include "config/value_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "policy/key_path.hpp"

namespace weir::detail {
namespace {

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Lists the choices, as in "a" or "b" or "c".
std::string any_of(Names names) {
  std::string result;
  for (const std::string_view name : names) result += (result.empty() ? "" : " or ") + quoted(name);
  return result;
}

std::string hint_for(const Node::Member& member, const std::string& path, const KeyTable& known) {
  std::vector<std::string_view> names;
  for (const Key& key : known.keys) names.push_back(key.name);
  const std::string_view meant = nearest(member.key, names);
  if (!meant.empty()) return fmt::format("did you mean {}?", quoted(meant));
  if (member.key == "breaker") return "only operations and [defaults] have one";
  if ((member.key == "shadow" || member.key == "candidate") && contains(names, "rate")) {
    return fmt::format("it belongs to a limit, as in rate = {{ limit = \"30/min\", {} = ... }}", member.key);
  }
  constexpr std::string_view kOperations = "operations.";
  if (member.value.as<Node::Table>() != nullptr && path.starts_with(kOperations)) {
    return fmt::format("an operation with a dot in its name needs quotes: [operations.\"{}.{}\"]",
                       path.substr(kOperations.size()), escaped(member.key));
  }
  return "use " + any_of(names);
}

}  // namespace

void ValueReader::fail(const SourcePosition& position, const std::string& path, std::string_view problem,
                       std::string hint) {
  const std::pair here{position.line, position.column};
  if (error_ && first_ <= here) return;
  first_ = here;
  const std::string where = position.text();
  error_ =
      Error{Errc::config, fmt::format("{}{}{}: {}", where, where.empty() ? "" : ": ", escaped(path), problem),
            std::move(hint)};
}

void ValueReader::missing(const Node& table, const std::string& path, std::string_view key) {
  fail(table.position, path, fmt::format("{} is missing", quoted(key)),
       fmt::format("add {} = ... to the table", key));
}

bool ValueReader::check_keys(const Node& table, const std::string& path, const KeyTable& known) {
  bool all_known = true;
  for (const Node::Member& member : members_of(table)) {
    if (std::ranges::find(known.keys, member.key, &Key::name) != known.keys.end()) continue;
    all_known = false;
    const std::string here = joined(path, member.key);
    if (contains(kLaterKeys, member.key)) {
      fail(member.key_position, here, "not supported by this version of weir", "remove it");
    } else {
      fail(member.key_position, here, "unknown key", hint_for(member, path, known));
    }
  }
  return all_known;
}

bool ValueReader::is_table(const Node& node, const std::string& path) {
  return expect<Node::Table>(node, path, "a table") != nullptr;
}

const Node* ValueReader::section(const Node& parent, const std::string& path, std::string_view key) {
  const Node* node = parent.find(key);
  return node != nullptr && is_table(*node, joined(path, key)) ? node : nullptr;
}

void ValueReader::read(std::string& into, const Node& node, const std::string& path) {
  if (const auto* number = node.as<std::int64_t>()) {
    return fail(node.position, path, "expected a string, found an integer",
                fmt::format("write it in quotes: \"{}\"", *number));
  }
  if (const auto* text = expect<std::string>(node, path, "a string")) into = *text;
}

void ValueReader::read(bool& into, const Node& node, const std::string& path) {
  if (const auto* flag = expect<bool>(node, path, "true or false")) into = *flag;
}

void ValueReader::read(double& into, const Node& node, const std::string& path) {
  if (const auto* number = node.as<std::int64_t>()) {
    into = static_cast<double>(*number);
  } else if (const auto* decimal = expect<double>(node, path, "a number")) {
    if (!std::isfinite(*decimal))
      return fail(node.position, path, "not a finite number", "use a number as in 0.5");
    into = *decimal;
  }
}

void ValueReader::read(std::chrono::nanoseconds& into, const Node& node, const std::string& path) {
  const auto* text = node.as<std::string>();
  if (text == nullptr) {
    return fail(node.position, path, fmt::format("expected a duration, found {}", kind(node)),
                "write it as in \"30s\"");
  }
  const Result<std::chrono::nanoseconds> duration = parse_duration(*text);
  if (!duration) return fail(node.position, path, duration.error().what, duration.error().hint);
  into = *duration;
}

/// The index of a word among the words of an enumeration.
std::optional<std::size_t> ValueReader::choice(const Node& node, const std::string& path, Names names) {
  const auto* text = expect<std::string>(node, path, "a string");
  if (text == nullptr) return std::nullopt;
  const auto found = std::ranges::find(names, *text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  const std::string_view meant = nearest(*text, names);
  fail(node.position, path, quoted(*text) + ": not one of the choices",
       meant.empty() ? "use " + any_of(names) : fmt::format("did you mean {}?", quoted(meant)));
  return std::nullopt;
}

std::uint32_t ValueReader::octal(const Node& node, const std::string& path) {
  std::uint32_t bits = 0;
  if (const auto* digits = node.as<std::string>()) {
    const auto* end = digits->data() + digits->size();
    const auto parsed = std::from_chars(digits->data(), end, bits, 8);
    if (parsed.ec == std::errc() && parsed.ptr == end && bits <= 07777) return bits;
  }
  const auto* number = node.as<std::int64_t>();
  // Only accept a number that was written in octal: the decimal number 600 would silently mean 01130.
  if (number != nullptr && node.octal && *number >= 0 && *number <= 07777) {
    return static_cast<std::uint32_t>(*number);
  }
  fail(node.position, path, "expected octal permission bits", "write mode = \"0600\"");
  return 0;
}

}  // namespace weir::detail
