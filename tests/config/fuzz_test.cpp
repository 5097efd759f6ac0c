// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/config_fuzz.hpp"

namespace weir {
namespace {

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(WEIR_SOURCE_DIR "/tests/fuzz/corpus/config")) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<std::string> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

TEST(ConfigFuzz, EveryInputThatWasKeptHolds) {
  const std::vector<std::string> inputs = corpus();
  EXPECT_GE(inputs.size(), 10U);
  for (const std::string& input : inputs) fuzz::try_input(input);
}

/// One of the inputs, with pieces of it and of another replaced, doubled, cut out or flipped.
std::string mutated(const std::vector<std::string>& inputs, std::mt19937_64& random) {
  const auto below = [&](std::size_t end) { return end == 0 ? 0 : random() % end; };
  std::string text = inputs[below(inputs.size())];
  const std::string& other = inputs[below(inputs.size())];
  for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
    const std::size_t at = below(text.size());
    const std::size_t length = below(std::min<std::size_t>(text.size() - at, 40));
    switch (below(5)) {
      case 0:
        text.insert(at, text.substr(below(text.size()), length));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.replace(at, length, other.substr(below(other.size()), below(40)));
        break;
      case 3:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      default:
        text.insert(at, 1, "[]{}\"'.,=\n#0-9"[below(14)]);
        break;
    }
  }
  return text;
}

TEST(ConfigFuzz, MutationsOfThemHold) {
  const std::vector<std::string> inputs = corpus();
  std::mt19937_64 random(20'240'131);
  for (int i = 0; i < 2'000; ++i) fuzz::try_input(mutated(inputs, random));
}

}  // namespace
}  // namespace weir
