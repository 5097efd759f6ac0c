#pragma once

#include <string>

#include "weir/admission.hpp"
#include "weir/limiter.hpp"

#include "options.hpp"

namespace weir::runner {

/// Why the command was not started and what to do about it, in one line.
[[nodiscard]] std::string describe(const Admission& refused, const Limiter& limiter, const Options& options);

}  // namespace weir::runner
