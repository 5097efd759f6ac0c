// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "weir/config.hpp"

namespace weir::shm_inspect {

/// What an operator should know about a configuration that is valid.
struct Remark {
  std::string key;
  bool warning = false;  ///< something in it cannot be what was meant
  std::string text;
};

/// Remarks on the queues: in which of them a request can only wait to be refused, and how quick the work must be so
/// that the last of a full queue passes in time.
[[nodiscard]] std::vector<Remark> remarks_on(const Config& config);

}  // namespace weir::shm_inspect
