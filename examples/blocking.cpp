// SPDX-License-Identifier: Apache-2.0

// Work that blocks, on threads of its own and under the limits of one operation.
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <weir/weir.hpp>

struct Reply {
  int status;
  std::string text;
};

Reply render(int picture) {
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // calls something slow
  return {200, "picture " + std::to_string(picture)};
}

int main(int argc, char** argv) {
  const auto config = weir::load_config(argc > 1 ? argv[1] : "limits.toml").value();
  auto limiter = weir::Limiter::open(config).value();
  const auto captions = limiter.operation("caption_generation").value();
  weir::BlockingPool pool(limiter, captions, {.threads = 2, .queue = 4});

  // What counts as a failure of the backend. By default each exception does, and no result.
  const weir::Failures failed{[](const Reply& reply) { return reply.status >= 500; },
                              [](const std::exception&) { return true; }};
  std::vector<std::future<weir::RunResult<Reply>>> replies;
  for (int i = 1; i <= 4; ++i)
    replies.push_back(pool.submit(
        {.user = "bob"}, [i] { return render(i); }, failed));
  for (auto& reply : replies) {
    const Reply answer = weir::with_fallback(reply.get(), [](const weir::Decision& refused) {
      return Reply{503, "not now: " + std::string(weir::to_string(refused.verdict))};
    });
    std::printf("%d %s\n", answer.status, answer.text.c_str());
  }
}
