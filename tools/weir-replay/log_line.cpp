// SPDX-License-Identifier: Apache-2.0
#include "log_line.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>

#include "json_line.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kLongestTime = 40;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool all_digits(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Takes the bytes before the next space off `rest`, and the space. Without a space it takes everything, and
// `rest` is then empty.
std::string_view take_word(std::string_view& rest) noexcept {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(word.size() + 1, rest.size()));
  return word;
}

void skip_spaces(std::string_view& rest) noexcept {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
}

// "<190>": facility and severity of a syslog message.
bool take_priority(std::string_view& rest) noexcept {
  const std::size_t end = rest.substr(0, 5).find('>');
  if (!rest.starts_with('<') || end == rest.npos || !all_digits(rest.substr(1, end - 1))) return false;
  rest.remove_prefix(end + 1);
  return true;
}

// Takes "host program[123]: ", which syslog puts after its time. @return whether it is there.
bool take_host_and_tag(std::string_view& rest) noexcept {
  std::string_view after = rest;
  (void)take_word(after);
  const std::string_view tag = take_word(after);
  if (tag.size() < 2 || !tag.ends_with(':')) return false;
  rest = after;
  skip_spaces(rest);
  return true;
}

// "Nov 25 20:33:59 host program[123]: "
bool take_bsd_header(std::string_view& rest) noexcept {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::string_view after = rest;
  const std::string_view month = take_word(after);
  if (std::find(kMonths.begin(), kMonths.end(), month) == kMonths.end()) return false;
  skip_spaces(after);  // a day below ten has two spaces before it
  if (!all_digits(take_word(after))) return false;
  const std::string_view clock = take_word(after);
  if (clock.size() < 8 || clock[2] != ':' || clock[5] != ':') return false;
  if (!take_host_and_tag(after)) return false;
  rest = after;
  return true;
}

// Takes "- ", or any number of "[id key=\"value\"]" and a space.
bool take_structured_data(std::string_view& rest) noexcept {
  if (!rest.starts_with('[')) return take_word(rest) == "-";
  bool quoted = false;
  std::size_t at = 0;
  for (; at < rest.size() && (quoted || rest[at] != ' ' || rest[at - 1] != ']'); ++at) {
    if (rest[at] == '"') quoted = !quoted;
    if (rest[at] == '\\') ++at;
  }
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return !rest.empty();
}

// Takes "1 2026-11-25T20:33:59Z host program 123 ID - " (RFC 5424, after the priority).
bool take_rfc5424_header(std::string_view& rest) noexcept {
  std::string_view after = rest;
  if (take_word(after) != "1") return false;
  const std::string_view time = take_word(after);
  if (time != "-" && !parse_log_time(time)) return false;
  for (int i = 0; i < 4; ++i) (void)take_word(after);
  if (!take_structured_data(after)) return false;
  if (after.starts_with(kByteOrderMark)) after.remove_prefix(kByteOrderMark.size());
  rest = after;
  return true;
}

// Takes "2026-11-25T20:33:59.25Z " of `docker logs -t`; if "stdout F " follows, it is from Kubernetes; if a
// host and a tag follow, it is from rsyslog.
bool take_iso_header(std::string_view& rest) noexcept {
  std::string_view after = rest;
  const std::string_view time = take_word(after);
  if (time.size() < 19 || !parse_log_time(time)) return false;
  rest = after;
  if (after.starts_with("stdout ") || after.starts_with("stderr ")) {
    (void)take_word(after);
    const std::string_view flag = take_word(after);
    if (flag == "F" || flag == "P") rest = after;
    return true;
  }
  (void)take_host_and_tag(rest);
  return true;
}

// "web-1  | ", which docker compose puts before each line.
bool take_compose_header(std::string_view& rest) noexcept {
  constexpr std::size_t kLongestName = 80;
  const std::size_t bar = rest.substr(0, kLongestName).find(" | ");
  if (bar == rest.npos || rest.substr(0, bar).find_first_of("[\"{") != rest.npos) return false;
  rest.remove_prefix(bar + 3);
  return true;
}

// Takes the bytes up to the closing quote, and the quote, off `rest`. A backslash keeps the byte after it
// from closing the text.
std::string_view take_quoted(std::string_view& rest) noexcept {
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  end = std::min(end, rest.size());
  const std::string_view text = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return text;
}

// The `n`-th quoted text after a request: 1 is the referrer, 2 the client's program.
std::string_view quoted_field(std::string_view rest, int n) noexcept {
  std::string_view text;
  for (int i = 0; i < n; ++i) {
    const std::size_t quote = rest.find('"');
    if (quote == rest.npos) return {};
    rest.remove_prefix(quote + 1);
    text = take_quoted(rest);
  }
  return text;
}

// What a line has before the time: an address, an identity, a name, and perhaps a virtual host before them.
struct Origin {
  std::string_view address;
  std::string_view name;
};

bool has_port(std::string_view host) noexcept {
  const std::size_t colon = host.rfind(':');
  return colon != host.npos && all_digits(host.substr(colon + 1));
}

// Whether the first word of a line is a virtual host, because an address is the second.
bool is_virtual_host(std::string_view first, std::string_view second) noexcept {
  return !is_address(first) && (is_address(second) || (has_port(first) && second != "-"));
}

std::optional<Origin> parse_origin(std::string_view text) noexcept {
  std::string_view rest = text;
  std::string_view address = take_word(rest);
  std::string_view identity = take_word(rest);
  if (!rest.empty() && is_virtual_host(address, identity)) {
    std::string_view after = rest;
    const std::string_view next = take_word(after);
    if (!after.empty()) {
      address = identity;
      identity = next;
      rest = after;
    }
  }
  if (address.empty() || identity.empty() || rest.empty()) return {};
  return Origin{address, rest};
}

bool is_absent(std::string_view text) noexcept {
  return text.empty() || text == "-" || text == "\"\"";
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

bool is_address(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return false;
  std::copy(text.begin(), text.end(), terminated.begin());
  std::array<unsigned char, 16> bits{};
  return ::inet_pton(AF_INET, terminated.data(), bits.data()) == 1 ||
         ::inet_pton(AF_INET6, terminated.data(), bits.data()) == 1;
}

std::string_view without_prefix(std::string_view line) noexcept {
  std::string_view rest = line;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  if (rest.starts_with('{')) return rest;
  (void)take_compose_header(rest);
  if (take_priority(rest) && take_rfc5424_header(rest)) return rest;
  if (!take_bsd_header(rest)) (void)take_iso_header(rest);
  return rest;
}

std::string unescaped(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      bytes.push_back(text[i]);
      continue;
    }
    const char kind = text[++i];
    if (kind == 'x' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      bytes.push_back(static_cast<char>(16 * hex_value(text[i + 1]) + hex_value(text[i + 2])));
      i += 2;
      continue;
    }
    constexpr std::string_view kLetters = "abfnrtv";
    constexpr std::string_view kBytes = "\a\b\f\n\r\t\v";
    const std::size_t letter = kLetters.find(kind);
    if (letter == kLetters.npos && kind != '"' && kind != '\\') bytes.push_back('\\');
    bytes.push_back(letter == kLetters.npos ? kind : kBytes[letter]);
  }
  return bytes;
}

UserField UserField::of(std::string_view text) {
  if (text == "address") return {Kind::address, {}};
  if (text == "xff") return {Kind::forwarded, {}};
  if (text == "name") return {Kind::name, {}};
  return {Kind::header, std::string(text)};
}

std::optional<LogTime> LineParser::time_of(std::string_view text) noexcept {
  if (!known_text_.empty() && text == known_text_) return known_time_;
  const auto time = parse_log_time(text);
  if (time) {
    known_text_ = text;
    known_time_ = *time;
  }
  return time;
}

void LineParser::set_user(LogEntry& entry, std::string_view address, std::string_view name,
                          std::string_view forwarded) {
  switch (field_.kind) {
    case UserField::Kind::name:
    case UserField::Kind::header:
      if (!is_absent(name)) user_ = unescaped(name), entry.user = user_;
      return;
    case UserField::Kind::forwarded:
      if (const std::string_view first = trimmed(forwarded.substr(0, forwarded.find(',')));
          !is_absent(first)) {
        entry.user = first;
        break;
      }
      [[fallthrough]];  // the request came without a proxy
    case UserField::Kind::address:
      entry.user = address;
      break;
  }
  entry.is_address = true;
}

std::optional<LogEntry> LineParser::parse_text(std::string_view line) {
  // A user's name may hold brackets, but not a quote, because that is escaped.
  for (std::size_t open = line.find('['); open != line.npos; open = line.find('[', open + 1)) {
    const std::string_view inside = line.substr(open + 1, kLongestTime + 1);
    const std::size_t close = inside.find(']');
    if (close == inside.npos || line.substr(open + 1 + close, 3) != "] \"") continue;
    const auto time = time_of(inside.substr(0, close));
    if (!time) continue;
    if (open == 0 || line[open - 1] != ' ') return {};
    const auto origin = parse_origin(line.substr(0, open - 1));
    if (!origin) return {};
    std::string_view rest = line.substr(open + close + 4);
    std::string_view request = take_quoted(rest);
    LogEntry entry{.time = *time};
    (void)take_word(request);
    entry.path = take_word(request);
    const bool forwarded = field_.kind == UserField::Kind::forwarded;
    const bool by_name = field_.kind == UserField::Kind::name;
    set_user(entry, origin->address, by_name ? origin->name : std::string_view(),
             forwarded ? quoted_field(rest, 3) : std::string_view());
    return entry;
  }
  return {};
}

// Parses a line that docker or journald wraps, as the server wrote it.
std::optional<LogEntry> LineParser::parse_wrapped(std::string_view line) {
  const std::string_view bare = without_prefix(line);
  auto entry = bare.starts_with('{') ? parse_json(bare, true) : parse_text(bare);
  if (!entry) return {};
  std::string user(entry->user);  // the line is destroyed before its entry
  std::string path(entry->path);
  user_.swap(user);
  path_.swap(path);
  entry->user = user_;
  entry->path = path_;
  return entry;
}

std::optional<LogEntry> LineParser::parse_json(std::string_view line, bool nested) {
  const auto object = JsonLine::parse(line);
  if (!object) return {};
  const auto time = object->time();
  const std::string address = object->address();
  if (!time || address.empty()) {
    const auto inner = object->message();
    return inner && !nested ? parse_wrapped(*inner) : std::nullopt;
  }
  LogEntry entry{.time = *time};
  path_ = object->path();
  entry.path = path_;
  switch (field_.kind) {
    case UserField::Kind::address:
      user_ = address;
      break;
    case UserField::Kind::forwarded: {
      const std::string all = object->header("X-Forwarded-For");
      const std::string_view first = trimmed(std::string_view(all).substr(0, all.find(',')));
      user_ = is_absent(first) ? address : std::string(first);
      break;
    }
    case UserField::Kind::name:
      user_ = object->name();
      break;
    case UserField::Kind::header:
      user_ = object->header(field_.header);
      break;
  }
  entry.is_address = field_.kind == UserField::Kind::address || field_.kind == UserField::Kind::forwarded;
  entry.user = is_absent(user_) ? std::string_view() : std::string_view(user_);
  return entry;
}

std::optional<LogEntry> LineParser::parse(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string_view bare = without_prefix(line);
  if (bare.starts_with('{')) return parse_json(bare, false);
  return parse_text(bare);
}

}  // namespace weir::replay
