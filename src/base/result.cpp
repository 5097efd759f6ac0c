// SPDX-License-Identifier: Apache-2.0
#include "base/result.hpp"

#include <exception>
#include <new>

namespace weir::detail {
namespace {

// Short enough to lie in the string itself, so telling it allocates nothing.
Error out_of_memory() noexcept {
  return {Errc::system, "out of memory", ""};
}

}  // namespace

Error caught() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return out_of_memory();
    } catch (const std::exception& exception) {
      return {Errc::system, exception.what(), ""};
    } catch (...) {
      return {Errc::system, "an exception of an unknown type",
              "look at what the program's own functions throw"};
    }
  } catch (const std::bad_alloc&) {  // no room for the message either
    return out_of_memory();
  }
}

}  // namespace weir::detail
