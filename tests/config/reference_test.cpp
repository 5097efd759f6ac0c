// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "weir/config.hpp"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

std::string committed_page() {
  std::ifstream file(WEIR_SOURCE_DIR "/docs/configuration.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The rows of the page's table under a heading, each as its cells.
std::vector<std::vector<std::string>> rows_of(const std::string& heading) {
  std::istringstream page(config_reference());
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) inside = line == "## " + heading;
    if (!inside || !line.starts_with("| `")) continue;
    std::vector<std::string>& cells = rows.emplace_back();
    std::istringstream text(line.substr(2));
    for (std::string cell; std::getline(text, cell, '|');)
      cells.push_back(cell.substr(cell.find_first_not_of(' ')));
    for (std::string& cell : cells) cell.erase(cell.find_last_not_of(' ') + 1);
  }
  return rows;
}

std::string without_ticks(std::string text) {
  std::erase(text, '`');
  return text;
}

TEST(Reference, IsThePageThatIsCommitted) {
  EXPECT_EQ(config_reference(), committed_page())
      << "write it again: shm-inspect keys > docs/configuration.md";
}

TEST(Reference, TellsTheDefaultOfEverySettingOfTheSegment) {
  const auto rows = rows_of("`[segment]`");
  const std::vector<ConfigValue> values = config_values(Config{});
  ASSERT_EQ(rows.size(), values.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_THAT(rows[i], SizeIs(4)) << i;
    EXPECT_EQ("segment." + without_ticks(rows[i][0]), values[i].key);
    EXPECT_EQ(without_ticks(rows[i][2]), values[i].value) << values[i].key;
    EXPECT_FALSE(rows[i][3].empty()) << values[i].key;
  }
}

TEST(Reference, TellsBoundsThatHold) {
  const std::pair<const char*, std::string> tables[] = {{"`concurrent`", "operations.x.concurrent."},
                                                        {"`breaker`", "operations.x.breaker."},
                                                        {"`[segment]`", "segment."},
                                                        {"Limits", "operations.x."}};
  int bounded = 0;
  for (const auto& [heading, prefix] : tables) {
    for (const auto& row : rows_of(heading)) {
      unsigned long long least = 0;
      unsigned long long most = 0;
      if (std::sscanf(row[1].c_str(), "%llu to %llu", &least, &most) != 2) continue;
      ++bounded;
      Config config;
      Breaker breaker;
      breaker.failures = 1;
      breaker.recovery = std::chrono::seconds(1);
      config.operations["x"].breaker = breaker;
      config.operations["x"].shared.concurrent = 5;
      const std::string key = prefix + without_ticks(row[0]);
      EXPECT_FALSE(set_value(config, key, std::to_string(most + 1))) << key;
      const bool trips = key != "operations.x.breaker.failures";  // at 0 nothing would trip the breaker
      EXPECT_EQ(static_cast<bool>(set_value(config, key, std::to_string(least))), trips) << key;
      const bool needs_window = key.find("_rate") != std::string::npos;
      EXPECT_EQ(static_cast<bool>(set_value(config, key, std::to_string(most))), !needs_window) << key;
    }
  }
  EXPECT_GE(bounded, 15);
}

TEST(Reference, HasEveryKeyThatAnErrorSuggests) {
  for (const char* table : {"segment.x", "global.x", "operations.x.x", "overrides.x", "overrides.users.x.x",
                            "operations.x.breaker.x", "operations.x.cooldown.x"}) {
    Config config;
    const Result<void> set = set_value(config, table, "true");
    ASSERT_FALSE(set) << table;
    std::istringstream hint(set.error().hint);
    for (std::string word; hint >> word;) {
      if (word.front() != '"') continue;
      EXPECT_THAT(config_reference(), HasSubstr('`' + word.substr(1, word.size() - 2) + '`')) << table;
    }
  }
}

}  // namespace
}  // namespace weir
