// SPDX-License-Identifier: Apache-2.0
#include "config/edit.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/text.hpp"
#include "config/write.hpp"
#include "policy/config_keys.hpp"

namespace weir::detail {
namespace {

constexpr std::size_t kMostSteps = 16;  ///< the format itself needs 7

const std::string* name_of(const KeyStep& step) {
  return std::get_if<std::string>(&step);
}

/// The length of a quoted part of a key, with its quotes; npos if they are not closed.
std::size_t quoted_length(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && text[end] != text.front())
    end += text[end] == '\\' && text.front() == '"' ? 2 : 1;
  return end < text.size() ? end + 1 : text.npos;
}

bool has_key(const KeyTable& table, std::string_view name) {
  return std::ranges::find(table.keys, name, &Key::name) != table.keys.end();
}

/// Joins parts that make up a known name: "a", "b", "rate" becomes "a.b", "rate" if there is [operations."a.b"].
void join_name(KeyPath& path, std::size_t at, const Node* names, const KeyTable& table) {
  std::string name;
  for (std::size_t end = at; names != nullptr && end < path.size() && name_of(path[end]) != nullptr; ++end) {
    name += (end == at ? "" : ".") + *name_of(path[end]);
    const bool last = end + 1 == path.size();
    const bool whole = last || (name_of(path[end + 1]) != nullptr && has_key(table, *name_of(path[end + 1])));
    if (!whole || names->find(name) == nullptr) continue;
    const auto first = path.begin() + static_cast<std::ptrdiff_t>(at);
    path.erase(first + 1, path.begin() + static_cast<std::ptrdiff_t>(end) + 1);
    *first = name;
    return;
  }
}

/// Changes a tree at the end of a path. Short forms of a limit on the way are written out.
class Editor {
 public:
  /// @param value  what is set there; null to remove what is there.
  Editor(const KeyPath& path, const Node* value) : path_(path), value_(value) {}

  /// Goes on from a node to which the first `at` steps lead. Nodes that are missing are added for a value.
  Result<void> edit(Node& here, std::size_t at) {
    if (at == path_.size()) {
      here = *value_;
      return {};
    }
    const bool removes = value_ == nullptr && at + 1 == path_.size();
    if (const std::string* name = name_of(path_[at])) {
      WEIR_TRY(Node* const table, value_ == nullptr ? &only_entry(here) : as_table(here, at));
      Node* const child = table->find(*name);
      if (child == nullptr && value_ == nullptr) return {};
      if (!removes) return edit(child != nullptr ? *child : table->add(*name, nothing()), at + 1);
      std::erase_if(*table->as<Node::Table>(), [&](const auto& member) { return member.key == *name; });
      return {};
    }
    Node::List& list = as_list(here);
    const std::size_t index = std::get<std::size_t>(path_[at]);
    if (value_ != nullptr && index == list.size()) list.push_back(nothing());
    if (index >= list.size()) {
      return refuse(at,
                    fmt::format("there is no [{}]: the list has {} {}", index, list.size(),
                                list.size() == 1 ? "entry" : "entries"),
                    fmt::format("use at most [{}], which adds an entry", list.size()));
    }
    if (!removes) return edit(list[index], at + 1);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(index));
    return {};
  }

 private:
  [[nodiscard]] std::string text(std::size_t steps) const { return path_text(std::span(path_).first(steps)); }
  [[nodiscard]] Error refuse(std::size_t at, const std::string& problem, std::string hint) const {
    return SourcePosition{}.error(text(at), problem, std::move(hint));
  }

  /// A node that has no value yet.
  [[nodiscard]] Node nothing() const { return {{}, value_->position}; }
  static bool is_nothing(const Node& node) { return node.as<Node::Date>() != nullptr || node.switched_off(); }

  /// A list with one entry means the same as the entry.
  static Node& only_entry(Node& node) {
    auto* list = node.as<Node::List>();
    return list != nullptr && list->size() == 1 ? list->front() : node;
  }

  /// A single entry becomes a list with that entry.
  static Node::List& as_list(Node& node) {
    if (auto* list = node.as<Node::List>()) return *list;
    Node::List list;
    if (!is_nothing(node)) list.push_back(node);
    return node.value.emplace<Node::List>(std::move(list));
  }

  /// A limit in short form becomes the table that it means: "30/min" is { limit = "30/min" }.
  Result<Node*> as_table(Node& node, std::size_t at) const {
    if (auto* list = node.as<Node::List>(); list != nullptr && list->empty()) list->push_back(nothing());
    Node& one = only_entry(node);
    if (one.as<Node::Table>() != nullptr) return &one;
    if (const auto* list = one.as<Node::List>()) {
      return refuse(at, fmt::format("a list of {}", list->size()),
                    fmt::format("name one of them, as in {}[0]", escaped(text(at))));
    }
    if (is_nothing(one)) {
      one.value.emplace<Node::Table>();
      return &one;
    }
    const std::string_view first = first_key(at);
    if (first.empty()) return refuse(at, fmt::format("{} has no parts", kind(one)), "");
    Node value = std::move(one);
    one = {Node::Table{}, value.position};
    one.add(std::string(first), std::move(value));
    return &one;
  }

  /// The key under which a limit's table holds what its short form says; empty if the path is not at a limit.
  [[nodiscard]] std::string_view first_key(std::size_t at) const {
    for (std::size_t i = at; i > 0; --i) {
      const std::string* name = name_of(path_[i - 1]);
      if (name == nullptr) continue;  // this step is an index
      const auto limit = std::ranges::find(kLimitKeys, *name, &Key::name);
      return limit == kLimitKeys.end() ? std::string_view() : limit->parts->keys.front().name;
    }
    return {};
  }

  const KeyPath& path_;
  const Node* value_;
};

/// Reads "operations.x.rate[1]".
Result<KeyPath> parse_key(std::string_view key, const Node& root) {
  const auto refuse = [&](const std::string& problem) {
    return Error{Errc::config, escaped(key) + ": " + problem, "write the key as in operations.x.rate[0]"};
  };
  KeyPath path;
  for (std::string_view rest = key;; rest.remove_prefix(1)) {
    const bool in_quotes = rest.starts_with('"') || rest.starts_with('\'');
    const std::size_t length =
        in_quotes ? quoted_length(rest) : std::min(rest.find_first_of(".[]\"'"), rest.size());
    if (length == rest.npos) return refuse("a quote is not closed");
    if (length == 0) return refuse("has an empty part");
    const std::string_view part = rest.substr(0, length);
    if (in_quotes) {
      const Result<Node> name = parse_value(part, {});
      if (!name || name->as<std::string>() == nullptr) return refuse("a name in quotes is not valid TOML");
      path.emplace_back(*name->as<std::string>());
    } else {
      if (!plain_ascii(part)) return refuse("only ASCII may stand without quotes");
      path.emplace_back(std::string(part));
    }
    for (rest.remove_prefix(length); rest.starts_with('[') && path.size() < kMostSteps;) {
      std::size_t index = 0;
      const char* const end = rest.data() + rest.size();
      const auto number = std::from_chars(rest.data() + 1, end, index);
      if (number.ec != std::errc() || number.ptr == end || *number.ptr != ']')
        return refuse("expected a number in [ ]");
      path.emplace_back(index);
      rest.remove_prefix(static_cast<std::size_t>(number.ptr + 1 - rest.data()));
    }
    if (rest.empty()) break;
    if (path.size() == kMostSteps) return refuse("has too many parts");
    if (rest.front() != '.') return refuse("unexpected " + quoted(rest));
  }
  if (path[0] == KeyStep("operations")) join_name(path, 1, root.find("operations"), kOperationTable);
  if (path.size() > 2 && path[0] == KeyStep("overrides") && path[1] == KeyStep("users")) {
    join_name(path, 2, find_node(root, std::span(path).first(2)).node, kOverrideTable);
  }
  return path;
}

}  // namespace

Result<void> set_node(Node& root, const KeyPath& path, const Node& value) {
  return Editor(path, &value).edit(root, 0);
}

Result<void> set_text(Node& root, const KeyPath& path, std::string_view text,
                      const SourcePosition& position) {
  if (text == "none") return Editor(path, nullptr).edit(root, 0);
  const Result<Node> value = parse_value(text, position);
  if (!value) return SourcePosition{}.error(path_text(path), value.error().what, value.error().hint);
  return set_node(root, path, *value);
}

Result<Node> changed_tree(const Config& config, const std::vector<ConfigChange>& changes) {
  Node root = save_to_tree(config);
  for (const ConfigChange& change : changes) {
    WEIR_TRY(const KeyPath path, parse_key(change.key, root));
    if (path.front() == KeyStep("defaults")) {
      return SourcePosition{}.error(path_text(path), "[defaults] exists only in a file",
                                    "set the value of an operation, as in operations.x.rate");
    }
    WEIR_TRY_VOID(set_text(root, path, change.to, {}));
  }
  return root;
}

Found find_node(const Node& root, std::span<const KeyStep> path) {
  const Node* node = &root;
  for (const KeyStep& step : path) {
    const Node* next = nullptr;
    if (const std::string* name = name_of(step)) {
      next = node->find(*name);
    } else {
      const std::size_t index = std::get<std::size_t>(step);
      const auto* list = node->as<Node::List>();
      if (list != nullptr && index < list->size()) next = &(*list)[index];
      if (list == nullptr && index == 0) next = node;
    }
    if (next == nullptr) return {node, false};
    node = next;
  }
  return {node, true};
}

}  // namespace weir::detail
