// SPDX-License-Identifier: Apache-2.0
#include "base/fast_clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "base/descriptor.hpp"
#include "base/tsc_anchor.hpp"

namespace weir::detail {
namespace {

#if defined(__x86_64__)

// The read may be executed before earlier instructions: a reading is late, never early.
std::uint64_t read_counter() noexcept {
  return __rdtsc();
}
// The read waits until all earlier instructions are done, so it marks the end of a look.
std::uint64_t read_counter_in_order() noexcept {
  _mm_lfence();
  return __rdtsc();
}
// An invariant TSC keeps one rate in all power states.
bool counter_never_stops() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x8000'0007, &a, &b, &c, &d) != 0 && (d & (1U << 8)) != 0;
}
constexpr std::array<std::string_view, 2> kKernelClocks = {"tsc", "kvm-clock"};

#elif defined(__aarch64__)

std::uint64_t read_counter() noexcept {
  std::uint64_t ticks = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
}
std::uint64_t read_counter_in_order() noexcept {
  asm volatile("isb" ::: "memory");
  return read_counter();
}
bool counter_never_stops() noexcept {
  return true;  // the architecture requires it
}
constexpr std::array<std::string_view, 1> kKernelClocks = {"arch_sys_counter"};

#else

std::uint64_t read_counter() noexcept {
  return 0;
}
std::uint64_t read_counter_in_order() noexcept {
  return 0;
}
bool counter_never_stops() noexcept {
  return false;
}
constexpr std::array<std::string_view, 0> kKernelClocks = {};

#endif

// Whether the kernel itself keeps time by this counter. It watches the counter, and changes to another clock
// when the cores disagree.
bool kernel_trusts_counter() noexcept {
  std::array<char, 64> text{};
  const FileHandle file =
      open_file("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY);
  if (!file) return false;
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  if (length <= 0) return false;
  std::string_view name(text.data(), static_cast<std::size_t>(length));
  name = name.substr(0, name.find('\n'));
  for (const std::string_view known : kKernelClocks) {
    if (name == known) return true;
  }
  return false;
}

// This is determined when the library is loaded, because admit() makes no system call and a later sandbox may
// forbid this one. A caller that asks for the time before that gets the time of HostClock.
const bool kCounterIsClock = counter_never_stops() && kernel_trusts_counter();

// The initial-exec model costs one instruction in a shared library, too; the other models call
// __tls_get_addr().
[[gnu::tls_model("initial-exec")]] constinit thread_local TscAnchor anchor;

std::int64_t host_ns() noexcept {
  return HostClock::now().time_since_epoch().count();
}

[[gnu::noinline]] std::int64_t take_anchor() noexcept {
  const std::uint64_t before = read_counter();
  const std::int64_t ns = host_ns();
  return anchor.anchor({before, ns, read_counter_in_order()});
}

}  // namespace

FastClock::time_point FastClock::now() noexcept {
  if (!kCounterIsClock) return HostClock::now();
  const auto ns = anchor.read(read_counter());
  return time_point(duration(ns ? *ns : take_anchor()));
}

}  // namespace weir::detail
