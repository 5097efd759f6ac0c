// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weir/admission.hpp"
#include "weir/limiter.hpp"

#include "options.hpp"

namespace weir::runner {

/// The exit status of a refusal. It says whether waiting may help.
[[nodiscard]] int status_of(const Admission& refused, const Options& options) noexcept;

/// One line that says why the command was not started and what to do about it.
[[nodiscard]] std::string describe(const Admission& refused, const Limiter& limiter, const Options& options);

}  // namespace weir::runner
