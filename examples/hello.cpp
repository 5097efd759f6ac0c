// SPDX-License-Identifier: Apache-2.0

// Four processes share the limits of limits.toml; a second copy of this program joins them.
#include <cstdio>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.hpp>

int main(int argc, char** argv) {
  // value() of a failure prints its message and ends the program.
  const auto config = weir::load_config(argc > 1 ? argv[1] : "limits.toml").value();
  auto limiter = weir::Limiter::open(config).value();  // before forking: creates the segment, or attaches
  const auto captions = limiter.operation("caption_generation").value();

  for (int i = 1; i < 4 && fork() != 0; ++i) continue;  // each process goes on with the same object
  for (int i = 0; i < 5; ++i) {
    auto admission = limiter.admit(captions, {.user = "alice"});
    if (admission) {
      std::printf("%d makes a caption\n", getpid());
      admission.succeed();  // or fail(): tells the breaker, and gives the permits back
    } else {
      const auto answer =
          weir::http_answer(admission.decision(), limiter.quotas(captions, {.user = "alice"}));
      std::printf("%d answers %d, Retry-After: %ld\n", getpid(), answer.status, answer.retry_after);
    }
  }
  while (wait(nullptr) > 0) continue;
}
