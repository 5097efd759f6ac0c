// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/write.hpp"

namespace weir::detail {
namespace {

std::string list_text(const Node::List& list) {
  std::string text;
  for (const Node& value : list) text += (text.empty() ? "" : ", ") + inline_text(value);
  return '[' + text + ']';
}

std::string table_text(const Node::Table& table) {
  std::string text;
  for (const auto& [key, value, position] : table) {
    text += fmt::format("{}{} = {}", text.empty() ? " " : ", ", key_part(key), inline_text(value));
  }
  return text.empty() ? "{}" : '{' + text + " }";
}

/// Whether a member of a section is a section of its own, and not a value.
bool is_section(const Node::Member& member) {
  return member.key == "user" && member.value.as<Node::Table>() != nullptr;
}

using Lines = std::vector<std::pair<std::string, std::string>>;  ///< each with its comment

std::string with_comments(const Lines& lines) {
  constexpr std::size_t kWidest = 60;
  std::size_t width = 0;
  for (const auto& [line, comment] : lines) width = std::max(width, std::min(line.size(), kWidest));
  std::string text;
  for (const auto& [line, comment] : lines) {
    text += comment.empty() ? line + '\n' : fmt::format("{:<{}}  # {}\n", line, width, comment);
  }
  return text;
}

KeyPath within(const KeyPath& path, std::string_view key) {
  KeyPath result = path;
  result.emplace_back(std::string(key));
  return result;
}

}  // namespace

std::string inline_text(const Node& value) {
  if (const auto* text = value.as<std::string>()) return toml_string(*text);
  if (const auto* number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* decimal = value.as<double>()) return fmt::format("{}", *decimal);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* list = value.as<Node::List>()) return list_text(*list);
  return table_text(std::get<Node::Table>(value.value));
}

void for_each_section(const Node& root, const Visit& visit) {
  const auto with_user = [&](const KeyPath& path, const Node& section) {
    visit(path, section);
    if (const Node* user = section.find("user")) visit(within(path, "user"), *user);
  };
  for (const auto& [key, section, position] : *root.as<Node::Table>()) {
    const KeyPath names = key == "overrides" ? KeyPath{key, "users"} : KeyPath{key};
    if (key != "operations" && key != "overrides") {
      with_user(names, section);
      continue;
    }
    for (const Node::Member& member : *find_node(root, names).node->as<Node::Table>()) {
      with_user(within(names, member.key), member.value);
    }
  }
}

std::vector<SavedValue> values_of(const Node& root) {
  std::vector<SavedValue> values;
  for_each_section(root, [&](const KeyPath& path, const Node& section) {
    const auto& members = *section.as<Node::Table>();
    if (members.empty()) values.push_back({path, "{}"});  // an operation without limits exists, too
    for (const Node::Member& member : members) {
      if (!is_section(member)) values.push_back({within(path, member.key), inline_text(member.value)});
    }
  });
  return values;
}

std::string file_text(const Node& root, const std::map<std::string, std::string>& comments) {
  std::string text;
  for_each_section(root, [&](const KeyPath& path, const Node& section) {
    Lines lines;
    for (const Node::Member& member : *section.as<Node::Table>()) {
      if (is_section(member)) continue;
      const auto comment = comments.find(path_text(within(path, member.key)));
      lines.emplace_back(fmt::format("{} = {}", member.key, inline_text(member.value)),
                         comment == comments.end() ? "" : escaped(comment->second));
    }
    if (lines.empty() && section.find("user") != nullptr) return;  // the section below it names it, too
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", path_text(path)) + with_comments(lines);
  });
  return text;
}

}  // namespace weir::detail

namespace weir {

std::string to_toml(const Config& config) {
  return detail::file_text(detail::save_to_tree(config), {});
}

std::string to_toml(const LoadedConfig& loaded) {
  std::map<std::string, std::string> origins;
  for (const ConfigValue& value : loaded.values) origins.emplace(value.key, value.origin);
  return detail::file_text(detail::save_to_tree(loaded.config), origins);
}

}  // namespace weir
