#include "config/edit.hpp"

#include <fmt/format.h>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "config/text.hpp"

namespace weir::detail {
namespace {

class Editor {
 public:
  explicit Editor(const Path& path) : path_(path) {}

  Expected<void> set(Node& root, Node value) {
    Node* here = &root;
    for (at_ = 0; at_ < path_.size(); ++at_) {
      const Expected<Node*> next = enter(*here, value.place);
      if (!next) return tl::make_unexpected(next.error());
      here = *next;
    }
    *here = std::move(value);
    return {};
  }

  Expected<void> remove(Node& root) {
    Node* here = &root;
    for (at_ = 0; at_ + 1 < path_.size(); ++at_) {
      const Expected<Node*> next = find(*here);
      if (!next) return tl::make_unexpected(next.error());
      if (*next == nullptr) return {};
      here = *next;
    }
    return remove_last(*here);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const std::string& problem, std::string hint) const {
    const Path way(path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(at_));
    return fail(Errc::config, fmt::format("{}: {}", path_text(way), problem), std::move(hint));
  }

  /// The child that the current step names, made if it is not there yet.
  Expected<Node*> enter(Node& here, const Place& place) {
    if (const auto* index = std::get_if<std::size_t>(&path_[at_])) {
      Node::List& list = as_list(here);
      if (*index == list.size()) list.push_back({{}, place});
      return element(list, *index);
    }
    Expected<Node*> table = as_table(here, place);
    if (!table) return table;
    const std::string& key = std::get<std::string>(path_[at_]);
    if ((*table)->find(key) == nullptr) (*table)->add(key, {{}, place});
    return (*table)->find(key);
  }

  /// The same, or null.
  Expected<Node*> find(Node& here) {
    if (const auto* index = std::get_if<std::size_t>(&path_[at_])) return element(as_list(here), *index);
    Node* table = &here;
    if (auto* list = here.as<Node::List>(); list != nullptr && list->size() == 1) table = &list->front();
    return table->find(std::get<std::string>(path_[at_]));
  }

  Expected<void> remove_last(Node& here) {
    if (const auto* index = std::get_if<std::size_t>(&path_[at_])) {
      Node::List& list = as_list(here);
      if (const Expected<Node*> there = element(list, *index); !there) {
        return tl::make_unexpected(there.error());
      }
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(*index));
      return {};
    }
    Node* table = &here;
    if (auto* list = here.as<Node::List>(); list != nullptr && list->size() == 1) table = &list->front();
    table->erase(std::get<std::string>(path_[at_]));
    return {};
  }

  Expected<Node*> element(Node::List& list, std::size_t index) const {
    if (index < list.size()) return &list[index];
    return refuse(fmt::format("no [{}]: it has {} entries", index, list.size()),
                  fmt::format("use at most [{}], which adds one", list.size()));
  }

  /// One entry is as good as a list of it.
  static Node::List& as_list(Node& node) {
    if (auto* list = node.as<Node::List>()) return *list;
    Node::List list;
    if (!nothing(node)) list.push_back(node);
    node.value = std::move(list);
    return std::get<Node::List>(node.value);
  }

  /// The table that a limit is short for: "30/min" is { limit = "30/min" }.
  Expected<Node*> as_table(Node& node, const Place& place) const {
    if (node.as<Node::Table>() != nullptr) return &node;
    if (nothing(node)) {
      node.value = Node::Table{};
      return &node;
    }
    if (auto* list = node.as<Node::List>()) {
      if (list->empty()) list->push_back({Node::Table{}, place});
      if (list->size() == 1) return as_table(list->front(), place);
      return refuse(fmt::format("a list of {}", list->size()),
                    fmt::format("name one of them, as in {}[0]", path_text(way())));
    }
    const std::string_view name = limit_name();
    if (name.empty()) return refuse(fmt::format("has no parts: {}", kind(node)), "");
    Node value = std::move(node);
    node = {Node::Table{}, value.place};
    node.add(name == "cooldown" ? "for" : "limit", std::move(value));
    return &node;
  }

  static bool nothing(const Node& node) {
    const bool* flag = node.as<bool>();
    return node.as<Node::Date>() != nullptr || (flag != nullptr && !*flag);
  }

  [[nodiscard]] Path way() const { return {path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(at_)}; }

  /// The limit whose part the current step names; empty if it is none.
  [[nodiscard]] std::string_view limit_name() const {
    for (std::size_t i = at_; i > 0; --i) {
      const auto* key = std::get_if<std::string>(&path_[i - 1]);
      if (key == nullptr) continue;  // an index
      const bool limit = *key == "rate" || *key == "window" || *key == "concurrent" || *key == "cooldown";
      return limit ? std::string_view(*key) : std::string_view();
    }
    return {};
  }

  const Path& path_;
  std::size_t at_ = 0;
};

}  // namespace

std::string path_text(const Path& path) {
  std::string text;
  for (const Step& step : path) {
    if (const auto* index = std::get_if<std::size_t>(&step)) {
      text += fmt::format("[{}]", *index);
    } else {
      text = joined(text, std::get<std::string>(step));
    }
  }
  return escaped(text);
}

Expected<void> edit(Node& root, const Path& path, std::optional<Node> value) {
  return value ? Editor(path).set(root, *std::move(value)) : Editor(path).remove(root);
}

Expected<void> edit(Node& root, const Path& path, std::string_view value, const Place& place) {
  if (value == "none") return edit(root, path, std::nullopt);
  Expected<Node> node = parse_value(value, place);
  if (!node)
    return fail(Errc::config, fmt::format("{}: {}", path_text(path), node.error().what), node.error().hint);
  return edit(root, path, *std::move(node));
}

}  // namespace weir::detail
