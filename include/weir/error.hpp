#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "weir/export.hpp"

namespace weir {

/// What kind of thing went wrong. The values are part of the ABI and never reused.
enum class Errc : std::uint8_t {
  invalid_argument = 1,  ///< a value that no call can accept
  config = 2,            ///< the configuration says something impossible; nothing was touched
  not_found = 3,         ///< no such segment, operation or file
  permission = 4,        ///< the kernel, or our own owner and mode check, said no
  no_space = 5,          ///< /dev/shm (or a table of fixed size) is full
  incompatible = 6,      ///< a segment of another layout, ABI, boot or time namespace
  damaged = 7,           ///< a segment whose bytes contradict each other
  foreign = 8,           ///< something of that name that is no weir segment
  conflict = 9,          ///< the segment enforces other limits than the configuration asks for
  system = 10,           ///< any other failed system call
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

/// A value or the reason why there is none. Look before you take: `*result` of a failure is undefined.
template <class T>
class [[nodiscard]] Result {
 public:
  // Not explicit, so that a function returns its value or its error as it is.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return state_.index() == 0; }
  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] const Error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

/// The outcome of a call that returns nothing but may fail.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return !error_; }
  [[nodiscard]] const Error& error() const noexcept { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace weir
