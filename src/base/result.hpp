// SPDX-License-Identifier: Apache-2.0

// What functions that may fail are written with: Result<T> itself is public (weir/error.hpp).

#pragma once

#include <string>
#include <utility>

#include "weir/error.hpp"

namespace weir::detail {

[[nodiscard]] inline Error fail(Errc code, std::string what, std::string hint = {}) {
  return {code, std::move(what), std::move(hint)};
}

/// The exception that is being handled, as an Error. Call it in a handler only.
[[nodiscard]] Error caught() noexcept;

/// Calls a function that returns a Result. What it throws becomes the error, so nothing thrown leaves the
/// library: each function of the public API that may allocate is written in terms of this one.
template <class Call>
[[nodiscard]] auto guarded(Call&& call) noexcept -> decltype(call()) {
  try {
    return std::forward<Call>(call)();
  } catch (...) {
    return caught();
  }
}

}  // namespace weir::detail

#define WEIR_JOIN_AGAIN(a, b) a##b
#define WEIR_JOIN(a, b) WEIR_JOIN_AGAIN(a, b)
#define WEIR_TRY_INTO(result, declaration, ...) \
  auto result = (__VA_ARGS__);                  \
  if (!result) return result.error();           \
  declaration = *std::move(result)

/// `WEIR_TRY(const auto block, block_for(name));` declares the value of a Result, or returns its error from the
/// function around it. Three statements, so it needs braces under an `if`.
#define WEIR_TRY(declaration, ...) WEIR_TRY_INTO(WEIR_JOIN(weir_try_, __LINE__), declaration, __VA_ARGS__)

/// `WEIR_TRY_VOID(check(name));` returns the error of a call whose value is not needed.
#define WEIR_TRY_VOID(...)                                                       \
  do {                                                                           \
    if (auto weir_tried = (__VA_ARGS__); !weir_tried) return weir_tried.error(); \
  } while (false)
