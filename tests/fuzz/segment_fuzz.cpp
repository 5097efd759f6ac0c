// SPDX-License-Identifier: Apache-2.0

// Writes any bytes into a live segment while it is used. To build and run it:
//   cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DWEIR_FUZZ=ON
//   cmake --build build/fuzz --target segment_fuzz
//   mkdir -p build/fuzz/segment && build/fuzz/bin/segment_fuzz -max_len=4096 -len_control=0
//   build/fuzz/segment

#include "fuzz/segment_fuzz.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static weir::fuzz::LiveSegment segment;
  segment.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
