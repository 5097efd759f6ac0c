// SPDX-License-Identifier: Apache-2.0
#pragma once

// A stack on which one function runs, which can be left in the middle and abandoned there.
//
// Abandoning it is the point: a killed process runs no destructors. Boost.Context would unwind an abandoned
// fiber (destructors would touch shared words, and an exception would meet noexcept functions), so the handle
// of an abandoned fiber is overwritten without being destroyed, and its stack is used again from the top.
// What the abandoned frames had on the heap is lost: keep std::string and the like out of them.

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace weir::test {

class Fiber {
 public:
  Fiber() : stack_(allocator().allocate()) {}
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() { allocator().deallocate(stack_); }

  /// Prepares `body`, which must outlive the run, to start at the next resume(). Whatever ran here before is
  /// abandoned.
  void start(const std::function<void()>& body) {
    ended_ = false;
    std::construct_at(&inside_.handle, std::allocator_arg, SameStack{stack_},
                      [this, &body](Handle&& outside) {
                        outside_ = std::move(outside);
                        body();
                        ended_ = true;
                        return std::move(outside_);
                      });
  }

  /// Runs the body up to its next pause() or its end.
  void resume() { inside_.handle = std::move(inside_.handle).resume(); }

  /// Called by the body: returns to the caller of resume().
  void pause() noexcept { outside_ = std::move(outside_).resume(); }

  [[nodiscard]] bool ended() const noexcept { return ended_; }

 private:
  using Handle = boost::context::fiber;
  using Stack = boost::context::stack_context;

  /// Always hands out the same stack, and takes nothing back.
  struct SameStack {
    Stack stack;
    Stack allocate() const noexcept { return stack; }
    void deallocate(Stack& /*unused*/) const noexcept {}
  };

  /// A handle that is never destroyed.
  union Inside {
    Inside() noexcept : handle() {}
    ~Inside() {}
    Handle handle;
  };

  static boost::context::protected_fixedsize_stack allocator() {
    constexpr std::size_t kStackSize = 256 * 1024;
    return boost::context::protected_fixedsize_stack(kStackSize);
  }

  Stack stack_;
  Inside inside_;
  Handle outside_;
  bool ended_ = true;
};

}  // namespace weir::test
