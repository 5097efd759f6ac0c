#include "config/environment.hpp"

#include <fmt/format.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "config/edit.hpp"
#include "config/fields.hpp"
#include "config/path.hpp"
#include "config/read.hpp"

namespace weir::detail {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

/// "image-resize" as a part of a variable's name: IMAGE_RESIZE.
std::string variable_part(std::string_view name) {
  std::string result = upper(name);
  for (char& c : result) {
    if ((c < 'A' || c > 'Z') && (c < '0' || c > '9')) c = '_';
  }
  return result;
}

/// Every key that a variable may name, by that variable's name.
class VariableNames {
 public:
  explicit VariableNames(const Node& root) {
    add_keys({"segment"}, keys_of(kSegmentFields));
    add_keys({"global"}, kGlobalKeys);
    add_keys({"defaults"}, kOperationKeys);
    add_names({"operations"}, root.find("operations"), kOperationKeys);
    const Node* overrides = root.find("overrides");
    add_names({"overrides", "users"}, overrides == nullptr ? nullptr : overrides->find("users"),
              kOverrideKeys);
  }

  /// What the variable sets.
  [[nodiscard]] Expected<Path> path(const std::string& variable) const {
    const auto [begin, end] = paths_.equal_range(upper(variable));
    if (begin == end) return fail(Errc::config, "there is no such key", hint_for(upper(variable)));
    if (std::next(begin) == end) return begin->second;
    return fail(
        Errc::config,
        fmt::format("may mean {} or {}", path_text(begin->second), path_text(std::next(begin)->second)),
        "rename one of them in the file");
  }

 private:
  void add_names(const Path& path, const Node* names, Names keys) {
    const auto* table = names == nullptr ? nullptr : names->as<Node::Table>();
    if (table == nullptr) return;
    for (const Node::Member& member : *table) add_keys(with(path, member.key), keys);
  }

  void add_keys(const Path& path, Names keys) {
    for (const std::string_view key : keys) add(with(path, key));
    for (const std::string_view key : kLaterKeys) add(with(path, key));  // their reader says what is wrong
    for (const std::string_view key : keys) add_parts(with(path, key), key);
  }

  void add_parts(const Path& path, std::string_view key) {
    const auto add_each = [&](const auto& parts) {
      for (const std::string_view part : parts) add(with(path, part));
    };
    if (key == "rate") add_each(kRateKeys);
    if (key == "window") add_each(kWindowKeys);
    if (key == "concurrent") add_each(keys_of(kConcurrentFields));
    if (key == "cooldown") add_each(keys_of(kCooldownFields));
    if (key == "breaker") add_each(keys_of(kBreakerFields));
    if (key == "user") add_keys(path, kUserKeys);
  }

  static Path with(Path path, std::string_view key) {
    path.emplace_back(std::string(key));
    return path;
  }

  void add(const Path& path) {
    std::string name = "WEIR";
    for (const Step& step : path) {
      name += (name == "WEIR" ? "_" : "__") + variable_part(std::get<std::string>(step));
    }
    paths_.emplace(std::move(name), path);
  }

  [[nodiscard]] std::string hint_for(const std::string& variable) const {
    std::vector<std::string_view> names;
    for (const auto& [name, path] : paths_) names.emplace_back(name);
    const std::string_view meant = nearest(variable, names);
    if (!meant.empty()) return fmt::format("did you mean {}?", meant);
    return "write a key of the file with \"__\" for its dots, as in WEIR_GLOBAL__RATE";
  }

  std::multimap<std::string, Path> paths_;
};

/// WEIR_SEGMENT and WEIR_CONFIG are the tools' own.
bool names_a_key(std::string_view name) {
  constexpr std::string_view kPrefix = "WEIR_";
  return name.starts_with(kPrefix) && name.find("__", kPrefix.size()) != name.npos;
}

/// After [defaults] are spread.
bool of_an_operation(const Path& path) {
  return path.front() == Step("operations");
}

using Edits = std::vector<std::pair<std::string_view, Path>>;

Expected<void> apply(Node& root, const Edits& edits, const Environment& environment, bool to_operations) {
  for (const auto& [name, path] : edits) {
    if (of_an_operation(path) != to_operations) continue;
    const Expected<void> done = edit(root, path, environment.find(name)->second, place_of_variable(name));
    if (!done) return tl::make_unexpected(of_variable(name, done.error()));
  }
  return {};
}

}  // namespace

Place place_of_variable(std::string_view name) {
  return {std::make_shared<const std::string>("environment " + escaped(name))};
}

Error of_variable(std::string_view name, const Error& error) {
  return {error.code, fmt::format("environment {}: {}", escaped(name), error.what), error.hint};
}

Expected<void> apply_environment(Node& root, const Environment& environment) {
  if (auto done = apply_plain_names(root, environment); !done) return done;
  std::optional<VariableNames> names;  // thousands of them: only if there is such a variable at all
  Edits edits;
  for (const auto& [name, value] : environment) {
    if (!names_a_key(name)) continue;
    if (!names) names.emplace(root);
    const Expected<Path> path = names->path(name);
    if (!path) return tl::make_unexpected(of_variable(name, path.error()));
    // Most often the variable that it was to be made of is not set, and a limit would silently be missing.
    if (value.empty()) {
      return tl::make_unexpected(
          of_variable(name, Error{Errc::config, "the value is empty",
                                  "unset the variable, or write none to remove the limit"}));
    }
    edits.emplace_back(name, *path);
  }
  if (auto done = apply(root, edits, environment, false); !done) return done;
  inherit(root);
  return apply(root, edits, environment, true);
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
