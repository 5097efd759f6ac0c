// SPDX-License-Identifier: Apache-2.0

// Reads any bytes as a configuration, a value or an environment. To build and run it:
//   cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DWEIR_FUZZ=ON
//   cmake --build build/fuzz --target config_fuzz
//   build/fuzz/bin/config_fuzz -max_len=4096 build/fuzz/corpus tests/fuzz/corpus/config

#include "fuzz/config_fuzz.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::fuzz::try_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
