#pragma once

#include <stdexcept>
#include <string>

#include "weir/error.hpp"

namespace weir::tools {

/// How the tools end, all alike.
enum ExitStatus : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNoSegment = 3,
  kIncompatible = 4,
  kDamaged = 5,
  kNeverAdmitted = 65,  ///< weir-run: EX_DATAERR of sysexits.h, no wait helps
  kRefused = 75,        ///< weir-run: EX_TEMPFAIL of sysexits.h, try again later
};

/// Ends the program: what main prints, and its exit status.
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

}  // namespace weir::tools
