#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "weir/error.hpp"

namespace weir::detail {

/// How internals return a value or an Error; the facade turns it into the public Result.
template <class T>
using Expected = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string what, std::string hint = {}) {
  return tl::make_unexpected(Error{code, std::move(what), std::move(hint)});
}

}  // namespace weir::detail
