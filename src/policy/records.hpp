#pragma once

// A policy as it lies in the segment: fixed-width records, compiled once from a Config, read once at attach.
//
// Limits are numbered from 1, so that 0 can mean "none" everywhere: global before operations, shared before
// user, in the order of the configuration.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "weir/policy.hpp"

#include "base/expected.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/token_bucket.hpp"
#include "segment/mapping.hpp"

namespace weir::detail {

enum class LimitKind : std::uint8_t { rate = 1, permits = 2 };
enum class LimitScope : std::uint8_t { shared = 0, user = 1 };

inline constexpr std::uint16_t kGlobal = 0xffff;  ///< instead of an operation's index

/// The settings of the segment as a whole.
struct SettingsRecord {
  std::uint64_t users = 0;
  std::uint32_t mode = 0;
  std::uint32_t workers = 0;
  std::uint8_t when_full = 0;
  std::uint8_t reserve = 0;
  std::array<std::uint8_t, 6> unused{};
  std::array<char, 64> group{};  ///< zero-terminated
};

struct OperationRecord {
  std::array<char, kMaxNameLength + 8> name{};  ///< zero-terminated
};

struct LimitRecord {
  LimitKind kind = LimitKind::rate;
  LimitScope scope = LimitScope::shared;
  std::uint16_t operation = kGlobal;
  std::uint16_t index = 0;     ///< position in its list: rate[index]
  std::uint16_t siblings = 0;  ///< length of that list
  std::uint32_t burst = 0;     ///< of a rate; of permits: how many there are
  std::uint32_t state = 0;     ///< shared rate: index of its state; shared permits: of its first cell
  std::uint64_t count = 0;
  std::int64_t period_ns = 0;
  std::uint64_t emission_interval = 0;  ///< ticks

  [[nodiscard]] TokenBucketParams token_bucket() const noexcept { return {emission_interval, burst}; }
  [[nodiscard]] std::uint32_t permits() const noexcept { return burst; }
  /// Entries in which a user's permits lie.
  [[nodiscard]] std::uint32_t parts() const noexcept {
    return kind == LimitKind::permits ? (burst + owner_set::kPlaces - 1) / owner_set::kPlaces : 1;
  }
  [[nodiscard]] Rate rate() const noexcept { return {count, std::chrono::nanoseconds(period_ns), burst}; }
};

struct Records {
  SettingsRecord settings;
  std::vector<OperationRecord> operations;
  std::vector<LimitRecord> limits;  ///< limit id - 1

  [[nodiscard]] std::uint64_t shared_states() const noexcept;
  [[nodiscard]] std::uint64_t permit_cells() const noexcept;
  /// The place of a limit in the configuration: "operations.x.user.rate[1]".
  [[nodiscard]] std::string name(const LimitRecord& limit) const;
};

/// A user's permits fill at most sixteen entries.
inline constexpr std::uint32_t kMaxUserPermits = 16 * owner_set::kPlaces;

/// Ticks that earn one token. Rounded up: a rate is never exceeded, and missed by less than one tick a token.
[[nodiscard]] std::uint64_t emission_interval(const Rate& rate) noexcept;

/// `config` has passed validate().
[[nodiscard]] Records compile(const Config& config);

/// Copies the records of a segment out and checks every field, so that a plan made of them stays in bounds.
/// Errors  Errc::damaged.
[[nodiscard]] Expected<Records> read_records(const Segment& segment);

/// The configuration that compiles to these records.
[[nodiscard]] Config decompile(const Records& records, std::string_view segment_name);

}  // namespace weir::detail
