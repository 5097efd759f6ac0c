// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "weir/error.hpp"

namespace weir::tools {

/// The exit statuses that all tools share.
enum ExitStatus : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNoSegment = 3,
  kIncompatible = 4,
  kDamaged = 5,
  kNeverAdmitted = 65,  ///< weir-run: EX_DATAERR of sysexits.h, waiting does not help
  kRefused = 75,        ///< weir-run: EX_TEMPFAIL of sysexits.h, try again later
};

/// Ends the program, with the message that main prints and the exit status.
class Failure : public std::runtime_error {
 public:
  Failure(int status, const std::string& message) : std::runtime_error(message), status_(status) {}
  explicit Failure(const Error& error) : Failure(status_of(error.code), error.message()) {}

  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  static ExitStatus status_of(Errc code) noexcept {
    switch (code) {
      case Errc::invalid_argument:
      case Errc::config:
      case Errc::not_in_segment:  // not a missing segment, and so not the status of one
        return kUsage;
      case Errc::not_found:
        return kNoSegment;
      case Errc::incompatible:
        return kIncompatible;
      case Errc::damaged:
        return kDamaged;
      default:
        return kFailed;
    }
  }

  int status_;
};

/// The value of a result. Throws Failure with its error.
template <class T>
T taken(Result<T> result) {
  if (!result) throw Failure(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace weir::tools
