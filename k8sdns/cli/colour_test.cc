#include "k8sdns/cli/colour.h"

#include <stdlib.h>

#include "gtest/gtest.h"

namespace k8sdns::cli {
namespace {

TEST(ColourTest, LinesAreColouredByTheirBeginning) {
  EXPECT_EQ(Colour("  the reply arrives: x\n"),
            "\x1b[32m  the reply arrives: x\x1b[0m\n");
  EXPECT_EQ(Colour("    => destination a -> b"),
            "\x1b[33m    => destination a -> b\x1b[0m");
  EXPECT_EQ(Colour("  is dropped: by rule\nplain\n\n"),
            "\x1b[31m  is dropped: by rule\x1b[0m\nplain\n\n");
  EXPECT_EQ(Colour(""), "");
}

TEST(ColourTest, OnlyTerminalsGetColour) {
  setenv("TERM", "xterm", 1);
  EXPECT_FALSE(WantsColour(-1));
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(WantsColour(1));
}

}  // namespace
}  // namespace k8sdns::cli
