// SPDX-License-Identifier: Apache-2.0
#include "config/environment.hpp"

#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/read.hpp"
#include "policy/config_keys.hpp"

namespace weir::detail {
namespace {

/// Writes a name as a part of a variable's name: "image-resize" becomes IMAGE_RESIZE.
std::string folded(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if ((c < 'A' || c > 'Z') && (c < '0' || c > '9')) c = '_';
  }
  return result;
}

/// Calls visit(variable, path) for each key under `path` that a variable may set.
template <class Visit>
void each_variable(const KeyTable& table, const Node* node, KeyPath& path, const std::string& prefix,
                   const Visit& visit) {
  const auto child = [&](std::string_view key) { return node == nullptr ? nullptr : node->find(key); };
  const auto at = [&](std::string_view key, const auto& then) {
    path.emplace_back(std::string(key));
    then(prefix + folded(key));
    path.pop_back();
  };
  for (const Key& key : table.keys) {
    at(key.name, [&](const std::string& variable) {
      const bool names = key.parts != nullptr && key.parts->named != nullptr;
      if (!names && path.size() > 1) visit(variable, path);
      if (key.parts != nullptr) each_variable(*key.parts, child(key.name), path, variable + "__", visit);
    });
  }
  for (const std::string_view key : kLaterKeys) {  // the reader of the tree will refuse them
    if (!path.empty() && !table.keys.empty())
      at(key, [&](const std::string& variable) { visit(variable, path); });
  }
  const auto* members = node == nullptr ? nullptr : node->as<Node::Table>();
  if (table.named == nullptr || members == nullptr) return;
  for (const Node::Member& member : *members) {
    at(member.key, [&](const std::string& variable) {
      each_variable(*table.named, &member.value, path, variable + "__", visit);
    });
  }
}

/// The path of the value that a variable sets.
Result<KeyPath> path_of(std::string_view name, const Node& root) {
  std::vector<KeyPath> meant;
  std::vector<std::string> names;
  KeyPath path;
  each_variable(kRootTable, &root, path, "WEIR_", [&](const std::string& variable, const KeyPath& key) {
    if (variable == folded(name)) meant.push_back(key);
    names.push_back(variable);
  });
  if (meant.size() == 1) return meant.front();
  if (meant.size() > 1) {
    return Error{Errc::config, fmt::format("may mean {} or {}", path_text(meant[0]), path_text(meant[1])),
                 "rename one of them in the file"};
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view near = nearest(folded(name), known);
  return Error{Errc::config, "there is no such key",
               near.empty() ? "write a key of the file with \"__\" for its dots, as in WEIR_GLOBAL__RATE"
                            : fmt::format("did you mean {}?", near)};
}

/// Whether a variable sets a key. WEIR_SEGMENT and WEIR_CONFIG, which the tools read, do not.
bool names_a_key(std::string_view name) {
  constexpr std::string_view kPrefix = "WEIR_";
  return name.starts_with(kPrefix) && name.find("__", kPrefix.size()) != name.npos;
}

}  // namespace

SourcePosition position_of_variable(std::string_view name) {
  return {std::make_shared<const std::string>("environment " + escaped(name))};
}

Error of_variable(std::string_view name, const Error& error) {
  return {error.code, fmt::format("environment {}: {}", escaped(name), error.what), error.hint};
}

Result<void> apply_environment(Node& root, const Environment& environment) {
  WEIR_TRY_VOID(apply_plain_names(root, environment));
  std::vector<std::pair<std::string_view, KeyPath>> of_operations;  // applied after [defaults] are spread
  for (const auto& [name, value] : environment) {
    if (!names_a_key(name)) continue;
    Result<KeyPath> path = path_of(name, root);
    if (!path) return of_variable(name, path.error());
    // An empty value is mostly an accident: it was to be made of another variable, which is not set. Accepting it
    // would silently drop a limit.
    if (value.empty()) {
      return of_variable(name, {Errc::config, "the value is empty",
                                "unset the variable, or write none to remove the limit"});
    }
    if (path->front() == KeyStep("operations")) {
      of_operations.emplace_back(name, *std::move(path));
    } else if (const Result<void> done = edit(root, *path, value, position_of_variable(name)); !done) {
      return of_variable(name, done.error());
    }
  }
  inherit(root);
  for (const auto& [name, path] : of_operations) {
    const Result<void> done = edit(root, path, environment.find(name)->second, position_of_variable(name));
    if (!done) return of_variable(name, done.error());
  }
  return {};
}

}  // namespace weir::detail

namespace weir {

Environment process_environment() {
  Environment environment;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    if (equals == text.npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (detail::names_a_key(name) || detail::is_plain_name(name)) {
      environment.emplace(name, text.substr(equals + 1));
    }
  }
  return environment;
}

}  // namespace weir
