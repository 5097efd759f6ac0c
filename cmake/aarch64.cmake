# SPDX-License-Identifier: Apache-2.0

# Builds for arm64 on another Debian host; its libraries come from the distribution's multiarch packages, and tests run
# in the emulator. tools/test-arm64.sh installs all that.
#
# No -march: g++ then calls libgcc's outlined atomics, which use the processor's 16-byte compare-exchange where there is
# one, and LDXP/STLXP where there is not. Both are lock-free; libatomic is not needed.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
