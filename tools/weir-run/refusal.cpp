// SPDX-License-Identifier: Apache-2.0
#include "refusal.hpp"

#include <fmt/format.h>
#include <string_view>

#include "weir/config.hpp"

namespace weir::runner {

using namespace tools;  // NOLINT(google-build-using-namespace): for the failures that all tools share
namespace {

std::string shed(const Decision& refused, std::string_view limit) {
  switch (refused.cause) {
    case ShedCause::queue_full:
      return fmt::format(
          "no permit is free ({}), and its queue has no seat, or it has no queue; retry later, or set a "
          "longer queue",
          limit);
    case ShedCause::timed_out:
      return fmt::format("no permit is free ({}) after {}; retry later, or with a longer --wait and timeout",
                         limit, format_duration(refused.waited));
    case ShedCause::pushed_out:
      return fmt::format(
          "no permit is free ({}), and a more urgent job took the seat in the queue; retry later", limit);
    case ShedCause::cancelled:
    case ShedCause::no_permit:
    case ShedCause::none:
      break;
  }
  return fmt::format("no permit is free ({}); retry when another job has finished", limit);
}

std::string reason(const Admission& refused, std::string_view limit) {
  switch (refused.verdict()) {
    case Verdict::throttled:
      return fmt::format("throttled by {}; retry after {}", limit, format_duration(refused.retry_after()));
    case Verdict::shed:
      return shed(refused.decision(), limit);
    case Verdict::never:
      return fmt::format("it asks for more than {} ever allows; lower --cost or --weight, or raise the limit",
                         limit);
    case Verdict::blocked:
      return fmt::format("it is in a cooldown ({}); retry after {}", limit,
                         format_duration(refused.retry_after()));
    case Verdict::circuit_open:
      if (refused.retry_after().count() == 0)
        return fmt::format("{} is held open by an operator; retry when it is switched back", limit);
      return fmt::format("{} is open after failures; retry after {}", limit,
                         format_duration(refused.retry_after()));
    case Verdict::admitted:
    case Verdict::invalid:
      break;
  }
  return fmt::format(
      "the request cannot be judged ({}); check --cost and --weight, and whether the operation was taken out",
      to_string(refused.verdict()));
}

}  // namespace

int status_of(const Admission& refused, const Options& options) noexcept {
  const bool hopeless = refused.verdict() == Verdict::never || refused.verdict() == Verdict::invalid;
  return hopeless ? kNeverAdmitted : options.refused_status;
}

std::string describe(const Admission& refused, const Limiter& limiter, const Options& options) {
  return fmt::format("operation \"{}\": {}", options.operation,
                     reason(refused, limiter.limit_name(refused.limit())));
}

}  // namespace weir::runner
