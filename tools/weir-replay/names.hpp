// SPDX-License-Identifier: Apache-2.0
#pragma once

// The users of all logs, each with a number. Number 0 means that a request does not name a user.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weir/client_key.hpp"

namespace weir::replay {

using UserNumber = std::uint32_t;

inline constexpr UserNumber kNobody = 0;

class Names {
 public:
  Names(unsigned prefix4, unsigned prefix6) : prefix4_(prefix4), prefix6_(prefix6) {}

  [[nodiscard]] UserNumber number_of(std::string_view user) {
    if (user.empty()) return kNobody;
    if (const auto found = numbers_.find(user); found != numbers_.end()) return found->second;
    const std::string& name = names_.emplace_back(user);
    return numbers_.emplace(name, static_cast<UserNumber>(names_.size() - 1)).first->second;
  }

  /// The number of the client that an address belongs to.
  [[nodiscard]] UserNumber number_of_client(const std::string& address) {
    if (const auto found = clients_.find(address); found != clients_.end()) return found->second;
    if (clients_.size() == kMostAddresses) clients_.clear();  // the cache only saves work, and fills again
    const UserNumber number = number_of(client_key(address, prefix4_, prefix6_));
    return clients_.emplace(address, number).first->second;
  }

  [[nodiscard]] const std::string& operator[](UserNumber number) const { return names_[number]; }

 private:
  static constexpr std::size_t kMostAddresses = std::size_t{1} << 20;

  unsigned prefix4_;
  unsigned prefix6_;
  std::deque<std::string> names_{""};
  std::unordered_map<std::string_view, UserNumber> numbers_;
  std::unordered_map<std::string, UserNumber> clients_;
};

}  // namespace weir::replay
