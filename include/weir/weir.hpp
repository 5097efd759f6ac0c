// SPDX-License-Identifier: Apache-2.0
#pragma once

// weir: rate limits that all processes of a host keep together, in shared memory.
//
// Start at limiter.hpp: open a Limiter and admit requests. Read the others when you need them:
//   policy.hpp     what can be limited: plain values
//   config.hpp     the same from a TOML file
//   decision.hpp   the answers
//   admission.hpp  what an admitted caller holds
//   run.hpp        work under limits: its result, its failures, a fallback
//   blocking_pool.hpp  threads for work that blocks
//   control.hpp    changing the limits of a running segment
//   ticket.hpp     waiting without a thread that sleeps
//   http.hpp       a decision as status and header fields
//   client_key.hpp the addresses of one client as one user
//   inspect.hpp    looking at a segment from outside
//   fields.hpp     what each number of it means, to show or to export
//   field_table.hpp  rows as a table of text
//   report.hpp     a snapshot as text, as JSON and for Prometheus
//   error.hpp      how opening and parsing fail
//   log.hpp        where the library says what no return value tells
//   text.hpp       names of unknown origin, safe to print
//   clock.hpp      the host's clock

#include "weir/admission.hpp"
#include "weir/blocking_pool.hpp"
#include "weir/client_key.hpp"
#include "weir/clock.hpp"
#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/decision.hpp"
#include "weir/error.hpp"
#include "weir/fields.hpp"
#include "weir/http.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"
#include "weir/log.hpp"
#include "weir/policy.hpp"
#include "weir/report.hpp"
#include "weir/run.hpp"
#include "weir/text.hpp"
#include "weir/ticket.hpp"
#include "weir/version.hpp"
