#pragma once

#include <optional>
#include <string>

#include "weir/policy.hpp"

namespace weir::detail {

/// The first limit or setting in which two configurations differ, with both values; nullopt: they enforce the
/// same. The segment's mode and group are not compared: an administrator may have changed them.
[[nodiscard]] std::optional<std::string> first_difference(const Config& segment, const Config& config);

}  // namespace weir::detail
