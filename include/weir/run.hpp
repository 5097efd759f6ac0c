// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "weir/admission.hpp"
#include "weir/decision.hpp"

namespace weir {

/// What came of work under limits: of `Limiter::run`, or of a job of a BlockingPool. It is true if the work was done.
template <class Value>
struct [[nodiscard]] RunResult {
  Decision decision;
  std::optional<Value> value{};  ///< what the work returned; nothing if it was refused

  [[nodiscard]] explicit operator bool() const noexcept { return value.has_value(); }
};

/// Of work that returns nothing.
template <>
struct [[nodiscard]] RunResult<void> {
  Decision decision;

  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(decision); }
};

/// Several functions as one, to say both which results and which exceptions count as failures:
///
///   weir::Failures{[](const Reply& reply) { return reply.status >= 500; },
///                  [](const std::exception& thrown) { return !is_fault_of_caller(thrown); }}
template <class... Each>
struct Failures : Each... {
  using Each::operator()...;
};
template <class... Each>
Failures(Each...) -> Failures<Each...>;

/// What the work returned, or if it was refused what `fallback` returns, for a cached or an alternative answer.
///
/// @param result    of `Limiter::run`, or of the future that a BlockingPool gave.
/// @param fallback  called with the Decision.
template <class Value, class Fallback>
Value with_fallback(RunResult<Value> result, Fallback&& fallback) {
  if constexpr (std::is_void_v<Value>) {
    if (!result)
      static_cast<void>(std::invoke(std::forward<Fallback>(fallback), std::as_const(result.decision)));
  } else {
    if (result) return *std::move(result.value);
    return std::invoke(std::forward<Fallback>(fallback), std::as_const(result.decision));
  }
}

namespace detail {

/// Every exception counts as a failure, and no result does.
struct OnlyExceptions {};

/// Whether `Failed` can be asked about an argument.
template <class Failed, class Argument>
inline constexpr bool kJudges =
    std::is_invocable_r_v<bool, Failed&, Argument> || std::is_invocable_r_v<Outcome, Failed&, Argument>;

constexpr Outcome outcome_of(bool failed) noexcept {
  return failed ? Outcome::failure : Outcome::success;
}
constexpr Outcome outcome_of(Outcome outcome) noexcept {
  return outcome;
}

template <class Failed, class Value>
Outcome outcome_of_result(Failed& failed, const Value& value) {
  if constexpr (kJudges<Failed, const Value&>) {
    return outcome_of(std::invoke(failed, value));
  } else {
    return Outcome::success;
  }
}

/// Of the exception that is being handled.
template <class Failed>
Outcome outcome_of_exception(Failed& failed) {
  if constexpr (kJudges<Failed, std::exception_ptr>) {
    return outcome_of(std::invoke(failed, std::current_exception()));
  } else if constexpr (kJudges<Failed, const std::exception&>) {
    try {
      throw;
    } catch (const std::exception& thrown) {
      return outcome_of(std::invoke(failed, thrown));
    } catch (...) {
      return Outcome::failure;
    }
  } else {
    return Outcome::failure;
  }
}

/// What work returns, as a value of its own.
template <class Work>
using Returned = std::remove_cvref_t<std::invoke_result_t<Work&>>;

/// Does admitted work, and reports its outcome.
template <class Work, class Failed>
RunResult<Returned<Work>> run_admitted(Admission& admission, Work& work, Failed& failed) {
  using Value = Returned<Work>;
  static_assert(
      std::is_same_v<Failed, OnlyExceptions> || kJudges<Failed, std::add_lvalue_reference_t<const Value>> ||
          kJudges<Failed, std::exception_ptr> || kJudges<Failed, const std::exception&>,
      "`failed` must take what the work returns, a std::exception_ptr or a const std::exception&, and "
      "return bool or weir::Outcome");
  RunResult<Value> result{admission.decision()};
  struct Report {
    Admission& admission;
    Outcome outcome = Outcome::failure;  // also if `failed` throws
    ~Report() { admission.report(outcome); }
  } report{admission};
  try {
    if constexpr (std::is_void_v<Value>) {
      std::invoke(work);
    } else {
      result.value.emplace(std::invoke(work));
    }
  } catch (...) {
    report.outcome = outcome_of_exception(failed);
    throw;
  }
  if constexpr (std::is_void_v<Value>) {
    report.outcome = Outcome::success;
  } else {
    report.outcome = outcome_of_result(failed, *result.value);
  }
  return result;
}

}  // namespace detail

}  // namespace weir
