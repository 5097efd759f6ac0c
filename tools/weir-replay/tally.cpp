#include "tally.hpp"

#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace weir::replay {
namespace {

struct Place {
  std::uint64_t offset;
  std::uint64_t length;
};

struct Head {
  Progress reached;
  std::uint64_t requests;
  std::uint64_t refused;
  std::uint64_t unparsed;
  std::uint64_t first_unparsed_line;
  Place first_unparsed;
  std::uint64_t limits;
  std::uint64_t users;
};

struct LimitRow {
  std::uint64_t refused;
  LimitId limit;
};

struct UserRow {
  Place name;
  UserCounts counts;
};

template <class T>
void append(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(std::string_view& bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) throw std::runtime_error("a worker's counts are cut short; run it again");
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

Place place_of(std::string_view text, std::string_view log) noexcept {
  return text.empty() ? Place{0, 0}
                      : Place{static_cast<std::uint64_t>(text.data() - log.data()), text.size()};
}

std::string_view text_at(Place place, std::string_view log) {
  return log.substr(place.offset, place.length);
}

}  // namespace

void Tally::count(std::string_view user, const Decision& decision) {
  UserCounts& counts = users[user];
  ++requests;
  ++counts.requests;
  if (decision) return;
  ++refused;
  ++counts.refused;
  ++refused_by[decision.limit];
}

void Tally::count_unparsed(std::uint64_t lines, std::uint64_t first_line, std::string_view first_text) {
  unparsed += lines;
  if (first_unparsed_line != 0 && first_unparsed_line <= first_line) return;
  first_unparsed_line = first_line;
  first_unparsed = first_text;
}

void Tally::merge(const Tally& other) {
  if (other.reached.lines > reached.lines) reached = other.reached;
  requests += other.requests;
  refused += other.refused;
  if (other.unparsed > 0) count_unparsed(other.unparsed, other.first_unparsed_line, other.first_unparsed);
  for (const auto& [limit, count] : other.refused_by) refused_by[limit] += count;
  for (const auto& [user, counts] : other.users) {
    UserCounts& sum = users[user];
    sum.requests += counts.requests;
    sum.refused += counts.refused;
  }
}

std::string encode(const Tally& tally, std::string_view log) {
  std::string bytes;
  bytes.reserve(sizeof(Head) + tally.users.size() * sizeof(UserRow) +
                tally.refused_by.size() * sizeof(LimitRow));
  append(bytes, Head{tally.reached, tally.requests, tally.refused, tally.unparsed, tally.first_unparsed_line,
                     place_of(tally.first_unparsed, log), tally.refused_by.size(), tally.users.size()});
  for (const auto& [limit, count] : tally.refused_by) append(bytes, LimitRow{count, limit});
  for (const auto& [user, counts] : tally.users) append(bytes, UserRow{place_of(user, log), counts});
  return bytes;
}

Tally decode(std::string_view bytes, std::string_view log) {
  const Head head = take<Head>(bytes);
  Tally tally;
  tally.reached = head.reached;
  tally.requests = head.requests;
  tally.refused = head.refused;
  tally.unparsed = head.unparsed;
  tally.first_unparsed_line = head.first_unparsed_line;
  tally.first_unparsed = text_at(head.first_unparsed, log);
  for (std::uint64_t i = 0; i < head.limits; ++i) {
    const LimitRow row = take<LimitRow>(bytes);
    tally.refused_by[row.limit] = row.refused;
  }
  for (std::uint64_t i = 0; i < head.users; ++i) {
    const UserRow row = take<UserRow>(bytes);
    tally.users[text_at(row.name, log)] = row.counts;
  }
  return tally;
}

}  // namespace weir::replay
