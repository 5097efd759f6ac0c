// SPDX-License-Identifier: Apache-2.0
#pragma once

// What limits decide about a log, worked out the schoolbook way: token counts, lists of times and counts of
// windows, for each limit and user in a map. Exact: tokens are counted in fractions of 1 / period, in 128
// bits.

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <deque>
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

enum class ModelKind { rate, log, ring, fixed, weighted, cooldown };

/// A rate: `count` tokens in `period_s` seconds, `burst` at most. A window: `count` requests in `period_s`. A
/// cooldown of `period_s` after `count` refusals. Of each user, or of all together.
struct ModelLimit {
  std::string name;
  bool per_user = false;
  Wide count = 1;
  Wide period_s = 1;
  Wide burst = 1;
  ModelKind kind = ModelKind::rate;

  /// "operations.http.user" of "operations.http.user.rate[1]": where the limit stands.
  [[nodiscard]] std::string scope() const { return name.substr(0, name.rfind('.')); }
};

/// The user and the second of a line; nothing if that is not a request.
struct ModelRequest {
  std::string user;
  std::int64_t at_s = 0;

  static std::optional<ModelRequest> of(const std::string& line) {
    std::istringstream fields(line);
    std::string user, identity, name, date, zone;
    fields >> user >> identity >> name >> date >> zone;
    std::tm calendar{};
    const char* rest = ::strptime((date + " " + zone).c_str(), "[%d/%b/%Y:%H:%M:%S %z]", &calendar);
    if (rest == nullptr || *rest != '\0') return {};
    const long ahead = calendar.tm_gmtoff;
    return ModelRequest{user, static_cast<std::int64_t>(::timegm(&calendar) - ahead)};
  }
};

class ReplayModel {
 public:
  /// Limits in the order in which, of equals, the first is named: rates over all, rates of a user, windows of
  /// a user, windows over all, cooldowns; global before operation.
  explicit ReplayModel(std::vector<ModelLimit> limits) : limits_(std::move(limits)) {}

  /// Decides one line of the log; nothing if that is not a request.
  std::optional<ModelDecision> decide(const std::string& line) {
    const auto request = ModelRequest::of(line);
    if (!request) return {};
    if (!begun_) now_s_ = request->at_s;
    begun_ = true;
    now_s_ = std::max(now_s_, request->at_s);
    return verdict(request->user);
  }

 private:
  static constexpr Wide kNanos = 1'000'000'000;
  static constexpr Wide kDay = 86'400;

  struct State {
    bool seen = false;
    Wide tokens = 0;  // of a rate, in 1 / period_ns
    std::int64_t at_s = 0;
    std::deque<std::int64_t> times;  // of a log
    std::map<Wide, Wide> counts;     // of a window's cells, by their number
    Wide in_a_row = 0;               // refusals before a cooldown
    Wide until_s = 0;                // of one that is on
  };

  [[nodiscard]] State& state_of(std::size_t index, const std::string& user) {
    return states_[std::pair(index, limits_[index].per_user ? user : std::string())];
  }

  static Wide one_token(const ModelLimit& limit) { return limit.period_s * kNanos; }

  // Tokens that come with time, up to a full bucket.
  void refill(const ModelLimit& limit, State& state) const {
    const Wide full = limit.burst * one_token(limit);
    if (!std::exchange(state.seen, true))
      state = State{.seen = true, .tokens = full, .at_s = now_s_, .times = {}, .counts = {}};
    state.tokens = std::min(full, state.tokens + limit.count * kNanos * (now_s_ - state.at_s));
    state.at_s = now_s_;
  }

  static Wide divided_up(Wide number, Wide by) { return (number + by - 1) / by; }

  // The library's ring: sixty cells, numbered from the beginning of the first day, in ticks of 1/128 ns.
  struct Ring {
    static constexpr Wide kTick = 128;
    Wide width;
    Wide in_window;

    explicit Ring(const ModelLimit& limit)
        : width(std::max(divided_up(limit.period_s * kNanos * kTick, 59), Wide{1} << 28)),
          in_window(divided_up(limit.period_s * kNanos * kTick, width) + 1) {}
  };

  [[nodiscard]] Wide ring_now() {
    if (!ring_begin_s_) ring_begin_s_ = now_s_ / kDay * kDay;
    return (now_s_ - *ring_begin_s_) * kNanos * Ring::kTick;
  }

  [[nodiscard]] Wide ring_wait(const ModelLimit& limit, const State& state) {
    const Ring ring(limit);
    const Wide now = ring_now();
    for (Wide cell = now / ring.width;; ++cell) {
      Wide sum = 0;
      for (const auto& [number, count] : state.counts) sum += number > cell - ring.in_window ? count : 0;
      if (sum + 1 > limit.count) continue;
      return cell == now / ring.width ? 0 : divided_up(cell * ring.width - now, Ring::kTick);
    }
  }

  // Nanoseconds until a request passes; 0: it does.
  [[nodiscard]] Wide wait_ns(std::size_t index, const std::string& user) {
    const ModelLimit& limit = limits_[index];
    State& state = state_of(index, user);
    const Wide cell = now_s_ / limit.period_s;
    const auto counted = [&](Wide number) {
      const auto found = state.counts.find(number);
      return found == state.counts.end() ? Wide{0} : found->second;
    };
    switch (limit.kind) {
      case ModelKind::rate: {
        refill(limit, state);
        const Wide lacking = one_token(limit) - state.tokens;
        return lacking <= 0 ? 0 : divided_up(lacking, limit.count);
      }
      case ModelKind::log:
        if (static_cast<Wide>(state.times.size()) < limit.count) return 0;
        return std::max<Wide>(state.times.front() + limit.period_s - now_s_, 0) * kNanos;
      case ModelKind::ring:
        return ring_wait(limit, state);
      case ModelKind::fixed:
        return counted(cell) < limit.count ? 0 : ((cell + 1) * limit.period_s - now_s_) * kNanos;
      case ModelKind::weighted: {
        // Of the window before, as much counts as still lies in the last `period_s`.
        constexpr Wide kTick = 128;
        const Wide length = limit.period_s * kNanos * kTick;
        const auto fades_at = [&](Wide count, Wide room) {
          return count <= room ? 0 : length - room * length / count;
        };
        const Wide room = limit.count - 1;
        const Wide current = counted(cell);
        const Wide passes_at =
            current <= room ? fades_at(counted(cell - 1), room - current) : length + fades_at(current, room);
        const Wide gone = (now_s_ - cell * limit.period_s) * kNanos * kTick;
        return passes_at <= gone ? 0 : divided_up(passes_at - gone, kTick);
      }
      case ModelKind::cooldown:
        return std::max<Wide>(state.until_s - now_s_, 0) * kNanos;
    }
    return 0;
  }

  void charge(std::size_t index, const std::string& user) {
    const ModelLimit& limit = limits_[index];
    State& state = state_of(index, user);
    switch (limit.kind) {
      case ModelKind::rate:
        state.tokens -= one_token(limit);
        return;
      case ModelKind::log:
        state.times.push_back(now_s_);
        if (static_cast<Wide>(state.times.size()) > limit.count) state.times.pop_front();
        return;
      case ModelKind::ring:
        ++state.counts[ring_now() / Ring(limit).width];
        return;
      case ModelKind::fixed:
      case ModelKind::weighted:
        ++state.counts[now_s_ / limit.period_s];
        return;
      case ModelKind::cooldown:
        state.in_a_row = 0;
        return;
    }
  }

  // A refusal by a rate or a window may begin the cooldown that stands beside it.
  void note_refusal(const ModelLimit& refused_by, const std::string& user) {
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      const ModelLimit& limit = limits_[i];
      if (limit.kind != ModelKind::cooldown || limit.scope() != refused_by.scope()) continue;
      State& state = state_of(i, user);
      if (state.until_s > now_s_ || ++state.in_a_row < limit.count) continue;
      state.until_s = now_s_ + limit.period_s;
      state.in_a_row = 0;
    }
  }

  ModelDecision verdict(const std::string& user) {
    Wide longest_ns = 0;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      const Wide wait = wait_ns(i, user);
      if (wait > longest_ns) longest_ns = wait, longest = i;
    }
    if (longest_ns == 0) {
      for (std::size_t i = 0; i < limits_.size(); ++i) charge(i, user);
      return {"admitted - 0", ""};
    }
    const ModelLimit& limit = limits_[longest];
    const bool blocked = limit.kind == ModelKind::cooldown;
    if (!blocked) note_refusal(limit, user);
    return {(blocked ? "blocked " : "throttled ") + limit.name + " " +
                std::to_string(static_cast<std::uint64_t>(longest_ns)),
            limit.name};
  }

  std::vector<ModelLimit> limits_;
  std::map<std::pair<std::size_t, std::string>, State> states_;
  std::int64_t now_s_ = 0;
  bool begun_ = false;
  std::optional<std::int64_t> ring_begin_s_;
};

}  // namespace weir::test
