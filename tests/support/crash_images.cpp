// SPDX-License-Identifier: Apache-2.0
#include "support/crash_images.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.hpp"

namespace weir::test {

namespace {

constexpr std::uint64_t kMostInstructions = 20'000'000;

/// Takes the images: it compares the memory whenever it is told to look.
class Camera {
 public:
  Camera(std::span<std::byte> mapping, std::vector<std::span<std::byte>> watched)
      : mapping_(mapping), watched_(std::move(watched)) {
    if (watched_.empty()) watched_.push_back(mapping_);
    images_.push_back({0, {mapping_.begin(), mapping_.end()}});
    last_ = images_.front().bytes;
  }

  void look(std::uint64_t instruction) {
    if (!changed()) return;
    last_.assign(mapping_.begin(), mapping_.end());
    const bool known = std::ranges::any_of(images_, [&](const Image& image) { return image.bytes == last_; });
    if (!known) images_.push_back({instruction, last_});
  }

  [[nodiscard]] std::vector<Image> images() && { return std::move(images_); }

 private:
  [[nodiscard]] bool changed() const noexcept {
    return std::ranges::any_of(watched_, [&](std::span<std::byte> part) {
      return std::memcmp(part.data(), last_.data() + (part.data() - mapping_.data()), part.size()) != 0;
    });
  }

  std::span<std::byte> mapping_;
  std::vector<std::span<std::byte>> watched_;
  std::vector<std::byte> last_;
  std::vector<Image> images_;
};

/// Runs the operation between two stops, which tell the tracer where it begins and ends.
void perform_traced(const std::function<void()>& operation) {
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
  ::raise(SIGSTOP);
  operation();
  ::raise(SIGSTOP);
}

bool stopped_by(int status, int signal) {
  return WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

/// Steps a child from its first stop to its second. @return what went wrong, or nothing.
std::string step_through(Child& child, Camera& camera, std::uint64_t& instructions) {
  ::ptrace(PTRACE_SETOPTIONS, child.pid(), nullptr, PTRACE_O_EXITKILL);
  int deliver = 0;
  while (instructions < kMostInstructions) {
    if (::ptrace(PTRACE_SINGLESTEP, child.pid(), nullptr, deliver) != 0) return "the child cannot be stepped";
    const int status = child.next_status();
    camera.look(++instructions);
    if (!WIFSTOPPED(status)) return "the operation did not return: " + child.failure();
    if (stopped_by(status, SIGSTOP)) return {};
    deliver = stopped_by(status, SIGTRAP) ? 0 : WSTOPSIG(status);
  }
  return fmt::format("the operation did not end within {} instructions", kMostInstructions);
}

}  // namespace

bool can_single_step() {
  std::array<std::byte, 1> unused{};
  return crash_images(unused, [] {}).error.empty();
}

CrashImages crash_images(std::span<std::byte> mapping, const std::function<void()>& operation,
                         const std::vector<std::span<std::byte>>& watched) {
  CrashImages result;
  Camera camera(mapping, watched);
  Child child([&] { perform_traced(operation); });
  if (!stopped_by(child.next_status(), SIGSTOP)) {
    result.error = "ptrace is not permitted here";
    return result;
  }
  result.error = step_through(child, camera, result.instructions);
  result.images = std::move(camera).images();
  if (!result.error.empty()) return result;

  ::ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr);
  while (WIFSTOPPED(child.next_status())) {
  }
  result.error = child.failure();  // failures of EXPECT inside the operation
  return result;
}

std::vector<std::string> for_each_image(const CrashImages& crash, std::span<std::byte> mapping,
                                        const std::function<void(const Image&)>& recover,
                                        std::chrono::milliseconds limit) {
  std::vector<std::string> failures;
  for (std::size_t i = 0; i < crash.images.size(); ++i) {
    const Image& image = crash.images[i];
    std::ranges::copy(image.bytes, mapping.begin());
    Child child([&] { recover(image); });
    const bool ended = child.ends_within(limit);
    const std::string failure =
        ended ? child.failure() : fmt::format("hangs: no end in {} ms", limit.count());
    if (failure.empty()) continue;
    failures.push_back(fmt::format("image {} of {}, killed after instruction {}: {}", i + 1,
                                   crash.images.size(), image.instruction, failure));
  }
  return failures;
}

}  // namespace weir::test
