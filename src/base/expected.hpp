#pragma once

#include "base/result.hpp"

namespace weir::detail {

/// The name under which src/config still knows Result.
template <class T>
using Expected = Result<T>;

}  // namespace weir::detail

namespace tl {

template <class E>
using unexpected = E;

template <class E>
E make_unexpected(E error) {
  return error;
}

}  // namespace tl
