#pragma once

#include <string>

#include "weir/admission.hpp"
#include "weir/limiter.hpp"

#include "options.hpp"

namespace weir::runner {

/// The exit status of a refusal: one that a wait may help, or one that it never will.
[[nodiscard]] int status_of(const Admission& refused, const Options& options) noexcept;

/// Why the command was not started and what to do about it, in one line.
[[nodiscard]] std::string describe(const Admission& refused, const Limiter& limiter, const Options& options);

}  // namespace weir::runner
