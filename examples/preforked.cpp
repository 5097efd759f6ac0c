// SPDX-License-Identifier: Apache-2.0

// A preforked server in small. The parent opens the limiter, its workers share the limits, and the permit of a
// worker that is killed comes back to the next request that needs it. No process cleans up after another.
#include <csignal>
#include <cstdio>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <weir/weir.hpp>

namespace {

constexpr int kWorkers = 3;

// A worker: takes a permit, says so, and holds it until it is killed or the parent closes `stay`.
void work(weir::Limiter& limiter, int ready, int stay) {
  const weir::Admission admission = limiter.admit("render");
  char byte = admission ? 'y' : 'n';
  if (write(ready, &byte, 1) == 1 && read(stay, &byte, 1) < 0) _exit(1);
}

const char* word_for(const weir::Admission& admission) {
  return admission ? "admitted" : "refused";
}

}  // namespace

int main() {
  const auto config = weir::parse_config("operations.render.concurrent = 3", "preforked").value();
  // Private: shared with the forked workers, and gone with the last process. A server whose limits are to be
  // inspected and changed from outside opens a segment with a name, as hello.cpp does.
  auto limiter = weir::Limiter::open_private(config).value();

  int ready[2];
  int stay[2];
  if (pipe(ready) != 0 || pipe(stay) != 0) return 1;
  std::vector<pid_t> workers;
  for (int i = 0; i < kWorkers; ++i) {
    const pid_t worker = fork();
    if (worker < 0) return 1;
    if (worker == 0) {
      close(stay[1]);
      work(limiter, ready[1], stay[0]);
      _exit(0);
    }
    workers.push_back(worker);
    char byte = 0;
    if (read(ready[0], &byte, 1) != 1) return 1;
    std::printf("worker %d is %s\n", worker, byte == 'y' ? "admitted" : "refused");
  }
  std::printf("the parent is %s: all %d permits are held\n", word_for(limiter.admit("render")), kWorkers);

  kill(workers[0], SIGKILL);
  waitpid(workers[0], nullptr, 0);
  std::printf("worker %d is killed, with its permit\n", workers[0]);

  // A request that finds no permit looks for dead workers, at most once in 10 ms for the whole host.
  auto admission = limiter.admit("render");
  while (!admission) {
    usleep(1000);
    admission = limiter.admit("render");
  }
  std::printf("the parent is %s: the permit came back\n", word_for(admission));

  close(stay[1]);  // the other workers end, and give back theirs
  while (wait(nullptr) > 0) continue;
}
