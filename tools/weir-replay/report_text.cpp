#include <algorithm>
#include <fmt/format.h>
#include <iterator>

#include "weir/config.hpp"

#include "report.hpp"

namespace weir::replay {
namespace {

constexpr std::size_t kBarWidth = 30;
constexpr std::size_t kExcerpt = 60;
constexpr std::size_t kLongestName = 40;

using Text = fmt::memory_buffer;

template <class... Args>
void add(Text& text, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
}

// At most `longest` bytes of it, printable ASCII only.
std::string escaped(std::string_view bytes, std::size_t longest) {
  Text text;
  for (const char byte : bytes.substr(0, longest)) {
    if (byte == '\\') {
      add(text, "\\\\");
    } else if (byte >= ' ' && byte <= '~') {
      text.push_back(byte);
    } else {
      add(text, "\\x{:02x}", static_cast<unsigned char>(byte));
    }
  }
  if (bytes.size() > longest) add(text, "...");
  return fmt::to_string(text);
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

// What is more than nothing shows at least one mark.
std::string bar(std::uint64_t part, std::uint64_t whole) {
  const double share = percent(part, whole) / 100;
  return std::string(part == 0 ? 0 : std::max<std::size_t>(1, static_cast<std::size_t>(share * kBarWidth)),
                     '#');
}

void add_head(Text& text, const Report& report) {
  add(text, "log        {}\noperation  {}\n", report.log, report.operation);
  add(text, "requests   {} by {} users\n", report.requests, report.users);
  if (!report.from.empty()) {
    add(text, "time       {} to {} ({})\n", report.from, report.until, format_duration(report.span));
  }
  if (report.unparsed > 0) {
    add(text, "unparsed   {}, the first is line {}: \"{}\"\n", report.unparsed, report.first_unparsed_line,
        escaped(report.first_unparsed, kExcerpt));
  }
}

void add_verdicts(Text& text, const Report& report) {
  add(text, "\nadmitted {:>12}  {:5.1f} %\n", report.admitted(), percent(report.admitted(), report.requests));
  add(text, "refused  {:>12}  {:5.1f} %\n", report.refused, percent(report.refused, report.requests));
}

void add_limits(Text& text, const Report& report) {
  std::size_t width = 0;
  for (const LimitLine& limit : report.refused_by) width = std::max(width, limit.name.size());
  add(text, "\nrefused by\n");
  for (const LimitLine& limit : report.refused_by) {
    add(text, "  {:<{}} {:>10}  {}\n", limit.name, width, limit.refused, bar(limit.refused, report.refused));
  }
}

void add_users(Text& text, const Report& report) {
  constexpr std::string_view kTitle = "most refused users";
  std::size_t width = kTitle.size() - 2;
  for (const UserLine& user : report.top_refused) {
    width = std::max(width, escaped(user.name, kLongestName).size());
  }
  add(text, "\n{:<{}} {:>10} {:>10}\n", kTitle, width + 2, "requests", "refused");
  for (const UserLine& user : report.top_refused) {
    add(text, "  {:<{}} {:>10} {:>10}  {}\n", escaped(user.name, kLongestName), width, user.counts.requests,
        user.counts.refused, bar(user.counts.refused, user.counts.requests));
  }
}

}  // namespace

std::string to_text(const Report& report) {
  Text text;
  add_head(text, report);
  add_verdicts(text, report);
  if (report.refused > 0) {
    add_limits(text, report);
    add_users(text, report);
  }
  return fmt::to_string(text);
}

}  // namespace weir::replay
