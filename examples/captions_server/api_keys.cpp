// SPDX-License-Identifier: Apache-2.0
#include "api_keys.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <utility>

namespace captions {
namespace {

weir::Error bad_line(std::string what) {
  return {weir::Errc::config, std::move(what), "write `key user` or `key user admin`"};
}

/// 1 if the two are the same, 0 if not, in the same number of steps either way.
template <class Bytes>
std::uint32_t equal(const Bytes& left, const Bytes& right) noexcept {
  std::uint32_t difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    difference |= static_cast<std::uint8_t>(left[i]) ^ static_cast<std::uint8_t>(right[i]);
  }
  return (difference - 1) >> 31;  // at most 255, so only a difference of 0 wraps around
}

}  // namespace

ApiKeys ApiKeys::demo() {
  ApiKeys keys;
  for (const char* user : {"alice", "bob", "carol", "dave"}) {
    keys.entries_.push_back({pad(fmt::format("demo-key-{}", user)), {user, false}});
  }
  keys.entries_.push_back({pad("demo-key-admin"), {"admin", true}});
  return keys;
}

weir::Result<ApiKeys> ApiKeys::load(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return weir::Error{weir::Errc::not_found, fmt::format("keys \"{}\": cannot be read", path),
                       "name a file with lines of `key user`"};
  }
  ApiKeys keys;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos || line.front() == '#') continue;
    weir::Result<Entry> entry = parse_line(line);
    if (!entry) return bad_line(fmt::format("keys \"{}\", line {}: {}", path, number, entry.error().what));
    keys.entries_.push_back(*std::move(entry));
  }
  return keys;
}

const Caller* ApiKeys::find(std::string_view key) const noexcept {
  if (!is_key(key)) return nullptr;
  const Padded asked = pad(key);
  std::uint32_t found = 0;  // place of the entry + 1
  for (std::uint32_t i = 0; i < entries_.size(); ++i) found |= equal(entries_[i].key, asked) * (i + 1);
  return found == 0 ? nullptr : &entries_[found - 1].caller;
}

bool ApiKeys::is_key(std::string_view text) noexcept {
  const auto printable = [](char letter) { return letter > ' ' && letter <= '~'; };
  return !text.empty() && text.size() <= kMaxLength && std::all_of(text.begin(), text.end(), printable);
}

ApiKeys::Padded ApiKeys::pad(std::string_view key) noexcept {
  Padded padded{};
  std::copy(key.begin(), key.end(), padded.begin());
  return padded;
}

weir::Result<ApiKeys::Entry> ApiKeys::parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string key;
  std::string user;
  std::string role;
  std::string rest;
  words >> key >> user >> role >> rest;
  if (!is_key(key)) return bad_line(fmt::format("a key is 1 to {} printable characters", kMaxLength));
  if (user.empty()) return bad_line("no user after the key");
  if (!rest.empty() || (!role.empty() && role != "admin")) return bad_line("more than key, user and `admin`");
  return Entry{pad(key), {user, role == "admin"}};
}

}  // namespace captions
