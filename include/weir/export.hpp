// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what the shared library shows; everything else stays inside it.
#define WEIR_EXPORT [[gnu::visibility("default")]]
