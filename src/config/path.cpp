#include "config/path.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <utility>

#include "base/text.hpp"
#include "config/fields.hpp"
#include "config/text.hpp"

namespace weir::detail {
namespace {

constexpr std::size_t kMostSteps = 16;  ///< the format itself needs 7

/// Takes a key apart at its dots and brackets.
class PathReader {
 public:
  explicit PathReader(std::string_view key) : key_(key), rest_(key) {}

  Expected<Path> read() {
    Path path;
    if (rest_.starts_with('[')) return refuse("an empty part");
    for (;;) {
      if (const Expected<void> step = rest_.starts_with('[') ? index(path) : name(path); !step) {
        return tl::make_unexpected(step.error());
      }
      if (rest_.empty()) return path;
      if (path.size() == kMostSteps) return refuse("too many parts");
      if (rest_.front() == '[') continue;
      if (rest_.front() != '.') return refuse("unexpected " + quoted(rest_));
      rest_.remove_prefix(1);
    }
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const std::string& problem) const {
    return fail(Errc::config, escaped(key_) + ": " + problem, "write the key as in operations.x.rate[0]");
  }

  Expected<void> index(Path& path) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data() + 1, rest_.data() + rest_.size(), value);
    if (error != std::errc() || end == rest_.data() + rest_.size() || *end != ']') return refuse("no index");
    path.emplace_back(value);
    rest_.remove_prefix(static_cast<std::size_t>(end + 1 - rest_.data()));
    return {};
  }

  Expected<void> name(Path& path) {
    if (rest_.starts_with('"') || rest_.starts_with('\'')) return quoted_name(path);
    const std::size_t length = std::min(rest_.find_first_of(".[]\"'"), rest_.size());
    if (length == 0) return refuse("an empty part");
    if (!plain_ascii(rest_.substr(0, length))) return refuse("other than ASCII needs quotes");
    path.emplace_back(std::string(rest_.substr(0, length)));
    rest_.remove_prefix(length);
    return {};
  }

  Expected<void> quoted_name(Path& path) {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != rest_.front()) {
      end += rest_[end] == '\\' && rest_.front() == '"' ? 2 : 1;
    }
    if (end >= rest_.size()) return refuse("a quote that is not closed");
    Expected<std::string> text = parse_quoted(rest_.substr(0, end + 1));
    if (!text) return refuse("a name in quotes that is no TOML");
    path.emplace_back(*std::move(text));
    rest_.remove_prefix(end + 1);
    return {};
  }

  std::string_view key_;
  std::string_view rest_;
};

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Puts the parts of a known name together again: "a", "b", "rate" of [operations."a.b"].
void join_name(Path& path, std::size_t at, const Node* names, Names keys) {
  if (names == nullptr) return;
  std::string name;
  for (std::size_t end = at; end < path.size(); ++end) {
    const auto* part = std::get_if<std::string>(&path[end]);
    if (part == nullptr) return;
    name += (end == at ? "" : ".") + *part;
    const auto* next = end + 1 < path.size() ? std::get_if<std::string>(&path[end + 1]) : nullptr;
    const bool whole = end + 1 == path.size() || (next != nullptr && contains(keys, *next));
    if (!whole || names->find(name) == nullptr) continue;
    path[at] = name;
    path.erase(path.begin() + static_cast<std::ptrdiff_t>(at) + 1,
               path.begin() + static_cast<std::ptrdiff_t>(end) + 1);
    return;
  }
}

const Node* child(const Node& node, const Step& step) {
  if (const auto* key = std::get_if<std::string>(&step)) return node.find(*key);
  const std::size_t index = std::get<std::size_t>(step);
  const auto* list = node.as<Node::List>();
  if (list == nullptr) return index == 0 ? &node : nullptr;
  return index < list->size() ? &(*list)[index] : nullptr;
}

}  // namespace

Expected<Path> parse_path(std::string_view key, const Node& root) {
  Expected<Path> path = PathReader(key).read();
  if (!path) return path;
  if ((*path)[0] == Step("operations")) join_name(*path, 1, root.find("operations"), kOperationKeys);
  if (path->size() > 2 && (*path)[0] == Step("overrides") && (*path)[1] == Step("users")) {
    const Node* overrides = root.find("overrides");
    join_name(*path, 2, overrides == nullptr ? nullptr : overrides->find("users"), kOverrideKeys);
  }
  return path;
}

const Node* find_node(const Node& root, std::string_view key) {
  const Expected<Path> path = parse_path(key, root);
  if (!path) return nullptr;
  const Node* node = &root;
  for (const Step& step : *path) {
    if (node != nullptr) node = child(*node, step);
  }
  return node;
}

const Node& nearest_node(const Node& root, std::string_view key) {
  const Expected<Path> path = parse_path(key, root);
  const Node* node = &root;
  for (const Step& step : path ? *path : Path()) {
    const Node* next = child(*node, step);
    if (next == nullptr) break;
    node = next;
  }
  return *node;
}

}  // namespace weir::detail
