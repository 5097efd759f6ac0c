// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "weir/export.hpp"

namespace weir {

/// What kind of thing went wrong. The values are part of the ABI and never reused.
enum class Errc : std::uint8_t {
  invalid_argument = 1,  ///< a value that no call can accept
  config = 2,            ///< the configuration says something impossible; nothing was touched
  not_found = 3,         ///< no such segment or file
  permission = 4,        ///< the kernel, or our own owner and mode check, said no
  no_space = 5,          ///< /dev/shm (or a table of fixed size) is full
  incompatible = 6,      ///< a segment of another layout, ABI, boot or time namespace
  damaged = 7,           ///< a segment whose bytes contradict each other
  foreign = 8,           ///< something of that name that is not a weir segment
  conflict = 9,          ///< the segment enforces other limits than the configuration asks for
  system = 10,           ///< any other failed system call
  not_in_segment = 11,   ///< there is such a segment, but not that operation, breaker or change in it
};

/// A failure on a cold path (open, attach, parse). The hot path has no errors, only decisions.
struct Error {
  Errc code;
  std::string
      what;  ///< the facts, naming the thing: `segment "checkout": layout version 3, this build reads 2`
  std::string hint;  ///< the next step: `inspect it with a newer weir`

  /// `what; hint`, as every tool prints it.
  [[nodiscard]] std::string message() const { return hint.empty() ? what : what + "; " + hint; }
};

namespace detail {

/// Prints the message of an error on the standard error and aborts.
[[noreturn]] WEIR_EXPORT void end_with(const Error& error) noexcept;

}  // namespace detail

/// A value or the reason why there is none. Taking the value of a failure prints its message and ends the
/// program (abort), so look first where a failure can be answered.
template <class T>
class [[nodiscard]] Result {
 public:
  // These are not explicit, so that a function can return its value or its error as it is.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return state_.index() == 0; }
  [[nodiscard]] T& operator*() & noexcept { return value(); }
  [[nodiscard]] const T& operator*() const& noexcept { return value(); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(value()); }
  [[nodiscard]] T* operator->() noexcept { return &value(); }
  [[nodiscard]] const T* operator->() const noexcept { return &value(); }
  [[nodiscard]] T& value() & noexcept { return *checked(std::get_if<0>(&state_)); }
  [[nodiscard]] const T& value() const& noexcept { return *checked(std::get_if<0>(&state_)); }
  [[nodiscard]] T&& value() && noexcept { return std::move(value()); }
  /// Asking a success for its error ends the program, too.
  [[nodiscard]] const Error& error() const noexcept {
    const Error* const error = std::get_if<1>(&state_);
    if (error == nullptr)
      detail::end_with({Errc::invalid_argument, "error() of a result that is a success", ""});
    return *error;
  }
  /// Goes on with the value: `load_config(path).and_then(Limiter::open)`. A failure stays the failure it is.
  /// @param next  called with the value; returns another Result.
  template <class Next>
  [[nodiscard]] std::invoke_result_t<Next, T> and_then(Next&& next) && {
    if (!*this) return error();
    return std::forward<Next>(next)(std::move(value()));
  }

 private:
  template <class Pointer>
  Pointer checked(Pointer value) const noexcept {
    if (value == nullptr) detail::end_with(error());
    return value;
  }

  std::variant<T, Error> state_;
};

/// The outcome of a call that returns nothing but may fail.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return !error_; }
  /// Ends the program as above if the call failed.
  void value() const noexcept {
    if (error_) detail::end_with(*error_);
  }
  [[nodiscard]] const Error& error() const noexcept {
    if (!error_) detail::end_with({Errc::invalid_argument, "error() of a result that is a success", ""});
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace weir
