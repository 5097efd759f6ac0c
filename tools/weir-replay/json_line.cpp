// SPDX-License-Identifier: Apache-2.0
#include "json_line.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

namespace weir::replay {
namespace {

using Json = nlohmann::json;

// The names that nginx (its variables), Caddy ("request" is an object), Traefik (capital letters) and others
// use; a dot leads into an object. The time when a request began comes before the time when its line was
// written.
constexpr std::array<std::string_view, 15> kTimes = {
    "StartUTC", "StartLocal", "time_iso8601", "time_local", "msec",       "@timestamp", "timestamp", "ts",
    "time",     "datetime",   "date_time",    "start_time", "_timestamp", "Timestamp",  "date"};
constexpr std::array<std::string_view, 19> kAddresses = {"remote_addr",
                                                         "request.client_ip",
                                                         "request.remote_ip",
                                                         "request.remote_addr",
                                                         "ClientHost",
                                                         "ClientAddr",
                                                         "client_ip",
                                                         "remote_ip",
                                                         "remote_address",
                                                         "clientip",
                                                         "clientIp",
                                                         "client_addr",
                                                         "source.ip",
                                                         "client.ip",
                                                         "httpRequest.remoteIp",
                                                         "remoteAddr",
                                                         "remote_host",
                                                         "client",
                                                         "ip"};
constexpr std::array<std::string_view, 7> kNames = {"remote_user", "user_id", "ClientUsername", "user.name",
                                                    "username",    "user",    "remote_username"};
constexpr std::array<std::string_view, 8> kPaths = {
    "request_uri", "request.uri", "RequestPath", "uri", "url.path", "path", "url", "httpRequest.requestUrl"};
constexpr std::array<std::string_view, 3> kMessages = {"log", "MESSAGE", "message"};

// A value as a text; for a list, its first element.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && !value.empty() && value[0].is_string()) return value[0].get<std::string>();
  if (value.is_number()) return value.dump();
  return {};
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x == '-' ? '_' : x) == std::tolower(y == '-' ? '_' : y);
  });
}

std::string find_by_name(const Json& object, std::string_view name) {
  if (!object.is_object()) return {};
  for (const auto& [key, value] : object.items()) {
    if (same_name(key, name)) return text_of(value);
  }
  return {};
}

std::optional<LogTime> time_of(const Json& value) {
  if (value.is_number()) {
    // A double holds a present-day time to a quarter of a microsecond.
    return parse_epoch_time(value.is_number_float() ? fmt::format("{:.6f}", value.get<double>())
                                                    : value.dump());
  }
  if (!value.is_string()) return {};
  std::string_view text = value.get_ref<const std::string&>();
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  if (const auto time = parse_log_time(text)) return time;
  return parse_epoch_time(text);
}

}  // namespace

std::optional<JsonLine> JsonLine::parse(std::string_view line) {
  Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded()) {
    // nginx passes the bytes of a client on as they are, and bytes that are not UTF-8 must not hide a
    // request.
    std::string ascii(line);
    std::replace_if(
        ascii.begin(), ascii.end(), [](char byte) { return static_cast<unsigned char>(byte) >= 0x80; }, '?');
    object = Json::parse(ascii, nullptr, false);
  }
  if (!object.is_object()) return {};
  return JsonLine(std::move(object));
}

const Json* JsonLine::find(std::string_view path) const {
  if (const auto whole = object_.find(std::string(path)); whole != object_.end()) return &*whole;
  const Json* at = &object_;
  while (!path.empty()) {
    const std::string key(path.substr(0, path.find('.')));
    path.remove_prefix(std::min(key.size() + 1, path.size()));
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

template <class Paths>
std::string JsonLine::first_of(const Paths& paths) const {
  for (const std::string_view path : paths) {
    const Json* value = find(path);
    if (value == nullptr) continue;
    if (std::string text = text_of(*value); !text.empty()) return text;
  }
  return {};
}

std::optional<LogTime> JsonLine::time() const {
  for (const std::string_view path : kTimes) {
    const Json* value = find(path);
    if (value == nullptr) continue;
    if (const auto time = time_of(*value)) return time;
  }
  return {};
}

std::string JsonLine::address() const {
  return first_of(kAddresses);
}

std::string JsonLine::name() const {
  return first_of(kNames);
}

std::string JsonLine::path() const {
  if (std::string path = first_of(kPaths); !path.empty()) return path;
  std::string request = first_of(std::array<std::string_view, 1>{"request"});  // "GET /path HTTP/1.1"
  const std::size_t begin = request.find(' ');
  if (begin == request.npos) return {};
  return request.substr(begin + 1, request.find(' ', begin + 1) - begin - 1);
}

std::string JsonLine::header(std::string_view name) const {
  if (const Json* value = find(name); value != nullptr) {
    if (std::string text = text_of(*value); !text.empty()) return text;
  }
  for (const std::string_view of_request : {"request.headers", "headers", "httpRequest.headers"}) {
    const Json* headers = find(of_request);
    if (headers == nullptr) continue;
    if (std::string text = find_by_name(*headers, name); !text.empty()) return text;
  }
  for (const std::string_view prefix : {"http_", "request_", ""}) {
    if (std::string text = find_by_name(object_, fmt::format("{}{}", prefix, name)); !text.empty())
      return text;
  }
  return {};
}

std::optional<std::string> JsonLine::message() const {
  for (const std::string_view key : kMessages) {
    const Json* value = find(key);
    if (value == nullptr || !value->is_string()) continue;
    std::string text = value->get<std::string>();
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
  }
  return {};
}

std::string JsonLine::keys() const {
  std::string all;
  for (const auto& [key, value] : object_.items()) all += (all.empty() ? "" : ", ") + key;
  return all;
}

}  // namespace weir::replay
