// SPDX-License-Identifier: Apache-2.0

// The primitives are headers; this unit proves that they compile on their own terms.
#include "primitives/breaker.hpp"
#include "primitives/fixed_window.hpp"
#include "primitives/journal.hpp"
#include "primitives/lease.hpp"
#include "primitives/owner_set.hpp"
#include "primitives/permits.hpp"
#include "primitives/seat.hpp"
#include "primitives/token_bucket.hpp"
#include "primitives/user_window.hpp"
#include "primitives/waiting.hpp"
#include "primitives/waiting_queue.hpp"
#include "primitives/window_log.hpp"
#include "primitives/window_ring.hpp"
