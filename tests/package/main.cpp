// SPDX-License-Identifier: Apache-2.0

// A program of a user of the installed package.

#include <cstdio>

#include <weir/weir.hpp>

int main() {
  auto limiter = weir::Limiter::open_private(weir::builtin_config()).value();
  const auto captions = limiter.operation("caption_generation").value();
  auto admission = limiter.admit(captions, {.user = "alice"});
  std::puts(admission ? "admitted" : "refused");
}
