// SPDX-License-Identifier: Apache-2.0

// The fuzzer of a live segment with a fixed seed. WEIR_FUZZ_SCRIPTS runs more than the few that the suite has
// time for.

#include "fuzz/segment_fuzz.hpp"

#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace weir {
namespace {

TEST(SegmentFuzz, NoCallCrashesOrHangsWhateverIsWritten) {
  const char* const wanted = std::getenv("WEIR_FUZZ_SCRIPTS");
  const int scripts = wanted != nullptr ? std::atoi(wanted) : 400;
  fuzz::LiveSegment segment;
  std::mt19937_64 random(20'260'801);
  for (int i = 0; i < scripts; ++i) {
    std::string script(600, '\0');
    for (char& byte : script) byte = static_cast<char>(random());
    script[0] = static_cast<char>(i);  // every second one beside a thread that writes
    segment.run(script);
  }
}

}  // namespace
}  // namespace weir
