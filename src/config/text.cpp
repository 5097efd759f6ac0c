// SPDX-License-Identifier: Apache-2.0
#include "config/text.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "config/nesting.hpp"
#include "config/toml.hpp"

// This is the only source file that toml++ is compiled into.

namespace weir::detail {
namespace {

/// A value of a file has its own line; a value from elsewhere has the position that it was given with.
SourcePosition at(const toml::source_region& region, SourcePosition start) {
  if (start.line != 0) {
    start.line = region.begin.line;
    start.column = region.begin.column;
  }
  return start;
}

/// Copies what toml++ has parsed. The recursion is safe, because NestingScan has bounded the depth.
Node copy(const toml::node& from, const SourcePosition& start) {
  Node node{{}, at(from.source(), start), false};
  if (const toml::table* table = from.as_table()) {
    Node::Table& members = node.value.emplace<Node::Table>();
    for (const auto& [key, value] : *table) {
      members.push_back({std::string(key.str()), copy(value, start), at(key.source(), start)});
    }
  } else if (const toml::array* list = from.as_array()) {
    Node::List& values = node.value.emplace<Node::List>();
    for (const toml::node& value : *list) values.push_back(copy(value, start));
  } else if (const auto* text = from.as_string()) {
    node.value = text->get();
  } else if (const auto* number = from.as_integer()) {
    node.value = number->get();
    node.octal = number->flags() == toml::value_flags::format_as_octal;
  } else if (const auto* decimal = from.as_floating_point()) {
    node.value = decimal->get();
  } else if (const auto* flag = from.as_boolean()) {
    node.value = flag->get();
  }
  return node;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

std::string_view line_of(std::string_view text, std::uint32_t number) {
  for (; number > 1 && text.find('\n') != text.npos; --number) text.remove_prefix(text.find('\n') + 1);
  return text.substr(0, text.find('\n'));
}

/// Whether the value on a line is a bare word or begins like a number: 30/min, alice, 5 per 1s.
bool lacks_quotes(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == line.npos) return false;
  std::string_view value = trimmed(line.substr(equals + 1));
  value = trimmed(value.substr(0, value.find('#')));
  if (value.empty() || value.ends_with(',') || value == "true" || value == "false") return false;
  constexpr std::string_view kNumber = "0123456789+-._eExXoOabcdefABCDEF";
  const bool number =
      value.find_first_not_of(kNumber) == value.npos && value.find_first_of("0123456789") == 0;
  const char first = value.front();
  const bool word =
      (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  return word && !number;
}

Error syntax_error(const toml::parse_error& error, std::string_view toml, std::string_view origin) {
  const toml::source_position& where = error.source().begin;
  const std::string_view description = error.description();
  const bool twice = description.find("redefine") != description.npos;
  const char* const hint = twice ? "a key or a table may stand only once; several rates are a list: "
                                   "rate = [\"30/min\", \"500/hour\"]"
                           : lacks_quotes(line_of(toml, where.line))
                               ? "text needs quotes, as in rate = \"30/min\""
                               : "correct this line; the format of the file is TOML (https://toml.io)";
  return {Errc::config, fmt::format("{}:{}:{}: {}", origin, where.line, where.column, escaped(description)),
          hint};
}

std::optional<Error> nested_too_deep(std::string_view toml, std::string_view origin) {
  const std::optional<std::size_t> line = NestingScan(toml).too_deep();
  if (!line) return std::nullopt;
  return Error{Errc::config, fmt::format("{}:{}: nested more than {} deep", origin, *line, kDeepest),
               "use the keys of the format, as in [operations.x.user]"};
}

bool begins_like_toml(std::string_view text) {
  return text.starts_with('"') || text.starts_with('\'') || text.starts_with('[') || text.starts_with('{');
}

}  // namespace

Result<Node> parse_document(std::string_view toml, const SourcePosition& start) {
  if (auto deep = nested_too_deep(toml, *start.origin)) return *std::move(deep);
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) return syntax_error(parsed.error(), toml, *start.origin);
  return copy(parsed.table(), start);
}

Result<Node> parse_value(std::string_view text, const SourcePosition& position) {
  text = trimmed(text);
  if (auto deep = nested_too_deep(text, "line")) return *std::move(deep);
  const toml::parse_result parsed = toml::parse("value = " + std::string(text) + '\n');
  const bool one = parsed && parsed.table().size() == 1;  // false if `text` has keys on further lines
  if (one) return copy(*parsed.table().get("value"), position);
  if (!begins_like_toml(text)) {
    if (plain_ascii(text)) return Node{std::string(text), position};
    return Error{Errc::config, quoted(text) + ": only ASCII may stand without quotes",
                 "write it as in a TOML file"};
  }
  const std::string problem = parsed ? "more than one value" : escaped(parsed.error().description());
  return Error{Errc::config, fmt::format("{}: {}", quoted(text), problem),
               "write it as in a TOML file: [\"30/min\", \"500/hour\"]"};
}

}  // namespace weir::detail
