// SPDX-License-Identifier: Apache-2.0
#include "weir/text.hpp"

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.hpp"

namespace weir {
namespace {

TEST(Printable, ShowsUtf8AsItIs) {
  for (const std::string_view text :
       {"alice@example.com \\ \"", "Müller", "山田太郎", "Ольга", "عمر", "a\u0301", "🦀"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatMovesTheCursorOrIsNotUtf8) {
  const std::pair<std::string, std::string> cases[] = {
      {"\x1b[31m", "\\x1b[31m"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\n\t\x7f", "\\x0a\\x09\\x7f"},
      {"\u009b2J", "\\xc2\\x9b2J"},                  // a control character in two bytes
      {"\xff", "\\xff"},                             // never in UTF-8
      {"\xc3", "\\xc3"},                             // cut off
      {"\xc3(", "\\xc3("},                           // not continued
      {"\xc0\xaf", "\\xc0\\xaf"},                    // longer than needed
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // the same
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // half of a surrogate pair
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // beyond Unicode
  };
  for (const auto& [text, shown] : cases) EXPECT_EQ(printable(text), shown);
}

TEST(Printable, EscapesWhatIsInvisibleOrTurnsTheLineAround) {
  for (const std::string_view text :
       {"\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\u2028", "\ufeff", "\u00ad"}) {
    const std::string shown = printable("user" + std::string(text) + "nimda");
    EXPECT_EQ(shown.find(text), shown.npos) << shown;
    EXPECT_EQ(shown.substr(0, 6), "user\\x");
  }
}

TEST(Escaped, CutsLongTextsBetweenCharacters) {
  const std::string name(119, 'x');
  EXPECT_EQ(detail::escaped(name + "üüü"), name + "...");
}

TEST(Printable, CutsToAtMostSoManyBytesBetweenCharacters) {
  EXPECT_EQ(printable("über", 5), "über");
  EXPECT_EQ(printable("über", 4), "übe...");
  EXPECT_EQ(printable("über", 2), "ü...");
  EXPECT_EQ(printable("über", 1), "...");
  EXPECT_EQ(printable("über", 0), "...");
  EXPECT_EQ(printable("\x1b[2J\xbf\xbf\xbf\xbf\xbf", 8), "\\x1b[2J...") << "no character is this long";
}

TEST(Nearest, FindsWhatWasMeantAndNothingElse) {
  const std::string_view commands[] = {"status", "set", "reset", "remove"};
  EXPECT_EQ(nearest("stauts", commands), "status");
  EXPECT_EQ(nearest("frobnicate", commands), "");
}

}  // namespace
}  // namespace weir
