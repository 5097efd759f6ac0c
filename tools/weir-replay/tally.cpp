// SPDX-License-Identifier: Apache-2.0
#include "tally.hpp"

#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace weir::replay {
namespace {

struct Head {
  Counts all;
  std::uint64_t limits;
  std::uint64_t users;
  std::uint64_t operations;
};

struct LimitRow {
  std::uint64_t refused;
  std::uint64_t limit;
};

struct CountsRow {
  std::uint64_t number;
  Counts counts;
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

void add(Counts& to, const Counts& counts) noexcept {
  to.requests += counts.requests;
  to.refused += counts.refused;
}

Counts& at(std::vector<Counts>& all, std::size_t number) {
  if (number >= all.size()) all.resize(number + 1);
  return all[number];
}

std::uint64_t rows_of(const std::vector<Counts>& all) noexcept {
  std::uint64_t rows = 0;
  for (const Counts& counts : all) rows += counts.requests != 0 ? 1 : 0;
  return rows;
}

void append_rows(std::string& bytes, const std::vector<Counts>& all) {
  for (std::size_t number = 0; number < all.size(); ++number) {
    if (all[number].requests != 0) append(bytes, CountsRow{number, all[number]});
  }
}

void take_rows(std::string_view& bytes, std::uint64_t rows, std::vector<Counts>& all) {
  for (std::uint64_t i = 0; i < rows; ++i) {
    const CountsRow row = take<CountsRow>(bytes);
    at(all, row.number) = row.counts;
  }
}

}  // namespace

void Tally::count(UserNumber user, Routes::Number operation, const Decision& decision) {
  const Counts one{1, decision ? std::uint64_t{0} : std::uint64_t{1}};
  add(all, one);
  add(at(users, user), one);
  add(at(operations, operation), one);
  if (!decision) ++refused_by[decision.limit];
}

void Tally::merge(const Tally& other) {
  add(all, other.all);
  for (const auto& [limit, count] : other.refused_by) refused_by[limit] += count;
  for (std::size_t user = 0; user < other.users.size(); ++user) add(at(users, user), other.users[user]);
  for (std::size_t i = 0; i < other.operations.size(); ++i) add(at(operations, i), other.operations[i]);
}

std::string encode(const Tally& tally) {
  std::string bytes;
  append(bytes, Head{tally.all, tally.refused_by.size(), rows_of(tally.users), rows_of(tally.operations)});
  for (const auto& [limit, count] : tally.refused_by)
    append(bytes, LimitRow{count, static_cast<std::uint64_t>(limit)});
  append_rows(bytes, tally.users);
  append_rows(bytes, tally.operations);
  return bytes;
}

Tally decode(std::string_view bytes) {
  const Head head = take<Head>(bytes);
  Tally tally;
  tally.all = head.all;
  for (std::uint64_t i = 0; i < head.limits; ++i) {
    const LimitRow row = take<LimitRow>(bytes);
    tally.refused_by[static_cast<LimitId>(row.limit)] = row.refused;
  }
  take_rows(bytes, head.users, tally.users);
  take_rows(bytes, head.operations, tally.operations);
  return tally;
}

}  // namespace weir::replay
