// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

namespace captions {

/// How many of a worker's connections each client has: one client must not be able to take all of them.
class ClientShares {
 public:
  explicit ClientShares(std::size_t most) noexcept : most_(most) {}

  /// Counts one more connection of `client`. @return false: it has its share already.
  [[nodiscard]] bool take(const std::string& client) {
    std::size_t& held = held_[client];  // at least 1 afterwards, so no empty entry stays
    if (held >= most_) return false;
    ++held;
    return true;
  }

  void give_back(const std::string& client) noexcept {
    const auto found = held_.find(client);
    if (found != held_.end() && --found->second == 0) held_.erase(found);
  }

 private:
  std::size_t most_;  // at least 1
  std::unordered_map<std::string, std::size_t> held_;
};

}  // namespace captions
