// SPDX-License-Identifier: Apache-2.0

// The words for values that the inspector shows.

#include "weir/fields.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace weir {

std::string_view to_string(BreakerState state) noexcept {
  switch (state) {
    case BreakerState::closed:
      return "closed";
    case BreakerState::open:
      return "open";
    case BreakerState::half_open:
      return "half_open";
    case BreakerState::forced_open:
      return "forced_open";
    case BreakerState::forced_closed:
      return "forced_closed";
    case BreakerState::disabled:
      return "disabled";
    case BreakerState::metrics_only:
      return "metrics_only";
  }
  return "closed";
}

std::string_view to_string(NameKind kind) noexcept {
  switch (kind) {
    case NameKind::whole:
      return "whole";
    case NameKind::cut:
      return "cut";
    case NameKind::hash:
      break;
  }
  return "hash";
}

std::string_view to_string(Mode mode) noexcept {
  switch (mode) {
    case Mode::enforced:
      return "enforced";
    case Mode::shadow:
      return "shadow";
    case Mode::candidate:
      break;
  }
  return "candidate";
}

std::string_view to_string(WindowKind kind) noexcept {
  switch (kind) {
    case WindowKind::log:
      return "log";
    case WindowKind::ring:
      return "ring";
    case WindowKind::fixed:
      return "fixed";
    case WindowKind::weighted:
      return "weighted";
    case WindowKind::automatic:
      break;
  }
  return "automatic";
}

std::string_view to_string(TableFull policy) noexcept {
  switch (policy) {
    case TableFull::evict:
      return "evict";
    case TableFull::refuse:
      return "refuse";
    case TableFull::admit:
      break;
  }
  return "admit";
}

std::string_view to_string(FieldKind kind) noexcept {
  switch (kind) {
    case FieldKind::label:
      return "label";
    case FieldKind::state:
      return "state";
    case FieldKind::gauge:
      return "gauge";
    case FieldKind::counter:
      break;
  }
  return "counter";
}

std::string_view to_string(Unit unit) noexcept {
  switch (unit) {
    case Unit::none:
      return "";
    case Unit::requests:
      return "requests";
    case Unit::permits:
      return "permits";
    case Unit::users:
      return "users";
    case Unit::entries:
      return "entries";
    case Unit::calls:
      return "calls";
    case Unit::workers:
      return "workers";
    case Unit::changes:
      return "changes";
    case Unit::seconds:
      return "seconds";
    case Unit::bytes:
      return "bytes";
    case Unit::ratio:
      break;
  }
  return "ratio";
}

std::string utc_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::string mode_text(std::uint32_t mode) {
  return fmt::format("{:04o}", mode);
}

}  // namespace weir
