#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "weir/config.hpp"

#include "config/write.hpp"

namespace weir::detail {
namespace {

void visit_policy(const std::string& path, const Node& policy, const Visit& visit) {
  visit(path, policy);
  if (const Node* user = policy.find("user")) visit(path + ".user", *user);
}

std::string list_text(const Node::List& list) {
  std::string text;
  for (const Node& value : list) text += (text.empty() ? "" : ", ") + inline_text(value);
  return '[' + text + ']';
}

std::string table_text(const Node::Table& table) {
  std::string text;
  for (const auto& [key, value, place] : table) {
    text += fmt::format("{}{} = {}", text.empty() ? " " : ", ", key_part(key), inline_text(value));
  }
  return text.empty() ? "{}" : '{' + text + " }";
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

}  // namespace

std::string inline_text(const Node& value) {
  if (const auto* text = value.as<std::string>()) return toml_string(*text);
  if (const auto* number = value.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* decimal = value.as<double>()) return fmt::format("{}", *decimal);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* list = value.as<Node::List>()) return list_text(*list);
  return table_text(std::get<Node::Table>(value.value));
}

bool is_section(const Node::Member& member) {
  return member.key == "user" && member.value.as<Node::Table>() != nullptr;
}

void for_each_section(const Node& root, const Visit& visit) {
  if (const Node* segment = root.find("segment")) visit("segment", *segment);
  if (const Node* global = root.find("global")) visit_policy("global", *global, visit);
  if (const Node* operations = root.find("operations")) {
    for (const auto& [name, policy, place] : *operations->as<Node::Table>()) {
      visit_policy(joined("operations", name), policy, visit);
    }
  }
  const Node* overrides = root.find("overrides");
  if (overrides == nullptr) return;
  for (const auto& [name, user, place] : *overrides->find("users")->as<Node::Table>()) {
    visit(joined("overrides.users", name), user);
  }
}

std::string file_text(const Node& root, const std::map<std::string, std::string>& comments) {
  std::string text;
  for_each_section(root, [&](const std::string& path, const Node& section) {
    Lines lines;
    for (const Node::Member& member : *section.as<Node::Table>()) {
      if (is_section(member)) continue;
      const auto comment = comments.find(joined(path, member.key));
      lines.emplace_back(fmt::format("{} = {}", member.key, inline_text(member.value)),
                         comment == comments.end() ? "" : escaped(comment->second));
    }
    const bool goes_without_saying = lines.empty() && section.find("user") != nullptr;
    if (!goes_without_saying)
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", path) + with_comments(lines);
  });
  return text;
}

}  // namespace weir::detail

namespace weir {

std::string to_toml(const Config& config) {
  return detail::file_text(detail::write_config(config), {});
}

std::string to_toml(const LoadedConfig& loaded) {
  std::map<std::string, std::string> origins;
  for (const ConfigValue& value : loaded.values) origins.emplace(value.key, value.origin);
  return detail::file_text(detail::write_config(loaded.config), origins);
}

}  // namespace weir
