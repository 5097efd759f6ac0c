#include "config/text.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "config/nesting.hpp"
#include "config/toml.hpp"

// The only source that toml++ is compiled into.

namespace weir::detail {
namespace {

/// Copies what toml++ has parsed, no deeper than the scan for nesting lets through.
class Copier {
 public:
  explicit Copier(Place place) : place_(std::move(place)) {}

  Node copy(const toml::node& from) const {
    Node node{{}, at(from.source()), false};
    if (const toml::table* table = from.as_table()) {
      node.value = members(*table);
    } else if (const toml::array* list = from.as_array()) {
      Node::List& values = node.value.emplace<Node::List>();
      for (const toml::node& value : *list) values.push_back(copy(value));
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

 private:
  [[nodiscard]] Node::Table members(const toml::table& from) const {
    Node::Table table;
    for (const auto& [key, value] : from) {
      table.push_back({std::string(key.str()), copy(value), at(key.source())});
    }
    return table;
  }

  /// Lines are the file's own; a value from elsewhere has the one place it was given with.
  [[nodiscard]] Place at(const toml::source_region& region) const {
    Place place = place_;
    if (place_.line != 0) {
      place.line = region.begin.line;
      place.column = region.begin.column;
    }
    return place;
  }

  Place place_;
};

Error syntax_error(const toml::parse_error& error, std::string_view origin) {
  const toml::source_position& where = error.source().begin;
  return {Errc::config,
          fmt::format("{}:{}:{}: {}", origin, where.line, where.column, escaped(error.description())),
          "this is no TOML; text needs quotes, as in rate = \"30/min\""};
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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

}  // namespace

Expected<Node> parse_document(std::string_view toml, const Place& start) {
  if (auto deep = nested_too_deep(toml, *start.origin)) return tl::make_unexpected(*std::move(deep));
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) return tl::make_unexpected(syntax_error(parsed.error(), *start.origin));
  return Copier(start).copy(parsed.table());
}

Expected<Node> parse_value(std::string_view text, const Place& place) {
  text = trimmed(text);
  if (auto deep = nested_too_deep(text, "line")) return tl::make_unexpected(*std::move(deep));
  const toml::parse_result parsed = toml::parse("value = " + std::string(text) + '\n');
  const bool one = parsed && parsed.table().size() == 1;  // and no keys on lines of their own
  if (one) return Copier(place).copy(*parsed.table().get("value"));
  if (!begins_like_toml(text)) {
    if (printable(text)) return Node{std::string(text), place};
    return fail(Errc::config, quoted(text) + ": other than ASCII needs quotes", "write it as in a TOML file");
  }
  const std::string problem = parsed ? "more than one value" : escaped(parsed.error().description());
  return fail(Errc::config, fmt::format("{}: {}", quoted(text), problem),
              "write it as in a TOML file: [\"30/min\", \"500/hour\"]");
}

Expected<std::string> parse_quoted(std::string_view text) {
  const Expected<Node> node = parse_value(text, {});
  if (!node) return tl::make_unexpected(node.error());
  if (const auto* string = node->as<std::string>()) return *string;
  return fail(Errc::config, quoted(text) + ": no text in quotes");
}

}  // namespace weir::detail
