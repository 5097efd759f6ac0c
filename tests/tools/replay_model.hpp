#pragma once

// What rates decide about a log, worked out the schoolbook way: a token count and the time it was counted,
// for each limit and user in a map. Exact: tokens are counted in fractions of 1 / period, in 128 bits.

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {

__extension__ using Wide = __int128;

/// What --decisions says of a request behind the line's number.
struct ModelDecision {
  std::string text;
  std::string refused_by;  ///< empty: admitted
};

/// `count` tokens in `period_s` seconds, `burst` at most; of each user, or of all together.
struct ModelLimit {
  std::string name;
  bool per_user = false;
  Wide count = 1;
  Wide period_s = 1;
  Wide burst = 1;
};

class ReplayModel {
 public:
  /// Limits in the order in which, of equals, the first is named: shared before user, global before
  /// operation.
  explicit ReplayModel(std::vector<ModelLimit> limits) : limits_(std::move(limits)) {}

  /// Decides one line of the log; nothing if that is no request.
  std::optional<ModelDecision> decide(const std::string& line) {
    std::istringstream fields(line);
    std::string user, identity, name, date, zone;
    fields >> user >> identity >> name >> date >> zone;
    std::tm calendar{};
    const char* rest = ::strptime((date + " " + zone).c_str(), "[%d/%b/%Y:%H:%M:%S %z]", &calendar);
    if (rest == nullptr || *rest != '\0') return {};
    const long ahead = calendar.tm_gmtoff;
    now_s_ = std::max(now_s_, static_cast<std::int64_t>(::timegm(&calendar) - ahead));
    return verdict(user);
  }

 private:
  static constexpr Wide kNanos = 1'000'000'000;

  struct Bucket {
    Wide tokens;  // in 1 / period_ns
    std::int64_t at_s;
  };

  static Wide one_token(const ModelLimit& limit) { return limit.period_s * kNanos; }

  Bucket& refilled(std::size_t index, const std::string& user) {
    const ModelLimit& limit = limits_[index];
    const Wide full = limit.burst * one_token(limit);
    const auto key = std::pair(index, limit.per_user ? user : std::string());
    Bucket& bucket = buckets_.try_emplace(key, Bucket{full, now_s_}).first->second;
    bucket.tokens = std::min(full, bucket.tokens + limit.count * kNanos * (now_s_ - bucket.at_s));
    bucket.at_s = now_s_;
    return bucket;
  }

  ModelDecision verdict(const std::string& user) {
    Wide longest_ns = 0;
    std::string refused_by;
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      const Wide lacking = one_token(limits_[i]) - refilled(i, user).tokens;
      const Wide wait_ns = lacking <= 0 ? 0 : (lacking + limits_[i].count - 1) / limits_[i].count;
      if (wait_ns <= longest_ns) continue;
      longest_ns = wait_ns;
      refused_by = limits_[i].name;
    }
    if (longest_ns > 0) {
      const auto wait_ns = static_cast<std::uint64_t>(longest_ns);
      return {"throttled " + refused_by + " " + std::to_string(wait_ns), refused_by};
    }
    for (std::size_t i = 0; i < limits_.size(); ++i) refilled(i, user).tokens -= one_token(limits_[i]);
    return {"admitted - 0", ""};
  }

  std::vector<ModelLimit> limits_;
  std::map<std::pair<std::size_t, std::string>, Bucket> buckets_;
  std::int64_t now_s_ = 0;
};

}  // namespace weir::test
