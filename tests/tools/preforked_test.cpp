// SPDX-License-Identifier: Apache-2.0

// The example of a preforked server: the permit of a worker that is killed comes back while the others hold theirs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/process.hpp"

namespace weir {
namespace {

TEST(Preforked, ThePermitOfAKilledWorkerComesBack) {
  const test::Ran ran = test::run({WEIR_BIN_DIR "/preforked"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, testing::MatchesRegex("worker [0-9]+ is admitted\n"
                                             "worker [0-9]+ is admitted\n"
                                             "worker [0-9]+ is admitted\n"
                                             "the parent is refused: all 3 permits are held\n"
                                             "worker [0-9]+ is killed, with its permit\n"
                                             "the parent is admitted: the permit came back\n"));
}

}  // namespace
}  // namespace weir
