// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every value that the inspector shows, described once: the fields of each type of row. A new value is a member of a
// row (inspect.hpp) and a field of its list here. Those of limits: limit_rows.hpp.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weir/config.hpp"
#include "weir/control.hpp"
#include "weir/field.hpp"
#include "weir/inspect.hpp"
#include "weir/limiter.hpp"

namespace weir::fields {

// --- Parts of a snapshot.

inline constexpr std::array kSegment{
    Field<Snapshot>{.key = "segment", .help = "Its name.", .get = value_of<&Snapshot::segment>},
    Field<Snapshot>{.key = "library_version",
                    .help = "The version of weir that made it.",
                    .get = value_of<&Snapshot::library_version>},
    Field<Snapshot>{.key = "layout_version",
                    .help = "The version of its layout, which is a part of its file's name.",
                    .get = value_of<&Snapshot::layout_version>},
    Field<Snapshot>{.key = "uuid",
                    .help = "Tells it from every other segment, also from earlier ones of its name.",
                    .get = value_of<&Snapshot::uuid>},
    Field<Snapshot>{.key = "bytes",
                    .unit = Unit::bytes,
                    .help = "The size of its file.",
                    .get = value_of<&Snapshot::bytes>,
                    .metric = {"segment_bytes", "", "The size of the file of the segment."}},
    Field<Snapshot>{.key = "created",
                    .help = "When it was made, in UTC.",
                    .get = value_of<&Snapshot::created>,
                    .metric = {"segment_created_timestamp_seconds", "", "When the segment was made."}},
    Field<Snapshot>{
        .key = "taken", .help = "When this snapshot was taken, in UTC.", .get = value_of<&Snapshot::taken>},
    Field<Snapshot>{
        .key = "generation",
        .kind = FieldKind::counter,
        .unit = Unit::changes,
        .help = "Live changes of its limits so far.",
        .get = value_of<&Snapshot::generation>,
        .metric = {"live_changes_total", "", "Live changes of the limits since the segment was made."}},
    Field<Snapshot>{.key = "worker_slots",
                    .unit = Unit::workers,
                    .help = "Processes that may be attached at once.",
                    .get = value_of<&Snapshot::worker_slots>,
                    .metric = {"worker_slots"}},
    Field<Snapshot>{
        .key = "unrecorded",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were decided but not counted, because no memory was left for their counters.",
        .get = value_of<&Snapshot::unrecorded>,
        .metric = {"unrecorded_requests_total"}}};
inline constexpr std::array kUserTable{
    Field<UserTableStatus>{.key = "capacity",
                           .unit = Unit::entries,
                           .help = "Entries that it has room for.",
                           .get = value_of<&UserTableStatus::capacity>,
                           .more =
                               "A user takes one for each limit of each user that applies to it, and one for "
                               "each four permits."},
    Field<UserTableStatus>{.key = "occupied",
                           .kind = FieldKind::gauge,
                           .unit = Unit::entries,
                           .help = "Entries that name a user, whether it owes something or not.",
                           .get = value_of<&UserTableStatus::occupied>},
    Field<UserTableStatus>{.key = "active",
                           .kind = FieldKind::gauge,
                           .unit = Unit::entries,
                           .help = "Entries that hold something against a user.",
                           .get = value_of<&UserTableStatus::active>},
    Field<UserTableStatus>{
        .key = "when_full",
        .kind = FieldKind::state,
        .help = "What happens to a new user when something is owed in every entry: evict, refuse or admit.",
        .get = value_of<&UserTableStatus::when_full>},
    Field<UserTableStatus>{.key = "evicted",
                           .kind = FieldKind::counter,
                           .unit = Unit::users,
                           .help = "Users that were forgotten although they owed something.",
                           .get = value_of<&UserTableStatus::evicted>,
                           .more = "They got their tokens back early: raise `segment.users`.",
                           .metric = {"user_table_evictions_total"}},
    Field<UserTableStatus>{.key = "refused",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that were refused because the table was full.",
                           .get = value_of<&UserTableStatus::refused>,
                           .metric = {"user_table_full_total", R"(answer="refused")",
                                      "Requests of a new user that met a full user table."}},
    Field<UserTableStatus>{.key = "unlimited",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that passed without their user's limits because it was full.",
                           .get = value_of<&UserTableStatus::unlimited>,
                           .metric = {"user_table_full_total", R"(answer="admitted")"}}};
/// The words of a BreakerState.
inline constexpr std::array<std::string_view, 7> kBreakerStates{
    "closed", "open", "half_open", "forced_open", "forced_closed", "disabled", "metrics_only"};
inline constexpr std::array kBreakers{
    Field<BreakerStatus>{.key = "operation",
                         .help = "The operation that it guards.",
                         .get = value_of<&BreakerStatus::operation>},
    Field<BreakerStatus>{
        .key = "state",
        .kind = FieldKind::state,
        .help = "closed, open, half_open, forced_open, forced_closed, disabled or metrics_only.",
        .get = value_of<&BreakerStatus::state>,
        .title = "STATE",
        .metric = {"breaker_state", "", "1 for the state of the breaker of an operation, 0 for the others.",
                   kBreakerStates}},
    Field<BreakerStatus>{
        .key = "failures_in_a_row",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Failed calls since the last one that succeeded.",
        .get = value_of<&BreakerStatus::failures_in_a_row>,
        .title = "FAILED IN A ROW",
        .of = [](const BreakerStatus& status) { return std::uint64_t{status.breaker.failures}; },
        .metric = {"breaker_failures_in_a_row"}},
    Field<BreakerStatus>{
        .key = "calls",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Calls in its window, if it has one, and in flight for longer than slow_call.",
        .get = value_of<&BreakerStatus::calls>,
        .title = "CALLS",
        .metric = {"breaker_calls", "",
                   "Calls in the window of a breaker, and in flight for longer than slow_call."}},
    Field<BreakerStatus>{
        .key = "failures",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Of these, those that failed.",
        .get = value_of<&BreakerStatus::failures>,
        .title = "FAILED",
        .metric = {"breaker_failed_calls", "", "Calls in the window of a breaker that failed."}},
    Field<BreakerStatus>{
        .key = "slow",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Of these, those that were slow, or are slow already while in flight.",
        .get = value_of<&BreakerStatus::slow>,
        .title = "SLOW",
        .metric =
            {"breaker_slow_calls", "",
             "Calls in the window of a breaker that were slow, and those in flight that are slow already."}},
    Field<BreakerStatus>{
        .key = "probes_out",
        .kind = FieldKind::gauge,
        .unit = Unit::calls,
        .help = "Probes of the half-open breaker that have not reported yet.",
        .get = value_of<&BreakerStatus::probes_out>,
        .title = "PROBES",
        .of = [](const BreakerStatus& status) { return std::uint64_t{status.breaker.probes}; },
        .metric = {"breaker_probes_out"}},
    Field<BreakerStatus>{
        .key = "trips",
        .kind = FieldKind::gauge,
        .help = "How often it opened in a row without closing in between.",
        .get = value_of<&BreakerStatus::trips>,
        .more = "With `recovery_factor`, each trip makes the next recovery longer.",
        .metric = {"breaker_trips_in_a_row", "", "How often a breaker opened without closing in between."}},
    Field<BreakerStatus>{.key = "next_probe_s",
                         .kind = FieldKind::gauge,
                         .unit = Unit::seconds,
                         .help = "How long it still refuses before it lets a probe through.",
                         .get = value_of<&BreakerStatus::next_probe>,
                         .title = "NEXT PROBE",
                         .zero = "-",
                         .metric = {"breaker_next_probe_seconds", "",
                                    "How long a breaker still refuses before it lets a probe through."}}};
inline constexpr std::array kDifference{
    Field<DifferenceStatus>{.key = "values",
                            .kind = FieldKind::gauge,
                            .help = "How many values differ.",
                            .get = value_of<&DifferenceStatus::values>},
    Field<DifferenceStatus>{
        .key = "key", .help = "The first of them.", .get = value_of<&DifferenceStatus::key>},
    Field<DifferenceStatus>{
        .key = "segment", .help = "Its value in the segment.", .get = value_of<&DifferenceStatus::here>},
    Field<DifferenceStatus>{.key = "configuration",
                            .help = "Its value in the configuration.",
                            .get = value_of<&DifferenceStatus::there>},
    Field<DifferenceStatus>{.key = "program",
                            .help = "The program that opened the segment with it.",
                            .get = value_of<&DifferenceStatus::program>},
    Field<DifferenceStatus>{
        .key = "pid", .help = "The process id of that program.", .get = value_of<&DifferenceStatus::pid>},
    Field<DifferenceStatus>{
        .key = "when", .help = "When it did so, in UTC.", .get = value_of<&DifferenceStatus::when>}};
inline constexpr std::array kWorkers{
    Field<WorkerStatus>{
        .key = "slot", .help = "The number of its worker slot.", .get = value_of<&WorkerStatus::slot>},
    Field<WorkerStatus>{.key = "pid",
                        .help = "Its process id, in its own PID namespace.",
                        .get = value_of<&WorkerStatus::pid>,
                        .title = "PID"},
    Field<WorkerStatus>{.key = "name",
                        .help = "The name of its program.",
                        .get = value_of<&WorkerStatus::name>,
                        .title = "NAME"},
    Field<WorkerStatus>{.key = "dead",
                        .kind = FieldKind::state,
                        .help = "Whether it has died, and a sweep has not yet returned what it held.",
                        .get = value_of<&WorkerStatus::dead>},
    Field<WorkerStatus>{.key = "since_s",
                        .kind = FieldKind::gauge,
                        .unit = Unit::seconds,
                        .help = "How long ago it joined.",
                        .get = value_of<&WorkerStatus::since>,
                        .title = "SINCE"},
    Field<WorkerStatus>{.key = "permits",
                        .kind = FieldKind::gauge,
                        .unit = Unit::permits,
                        .help = "Permits that it holds, of all limits.",
                        .get = value_of<&WorkerStatus::permits>,
                        .title = "PERMITS"},
    Field<WorkerStatus>{.key = "oldest_s",
                        .kind = FieldKind::gauge,
                        .unit = Unit::seconds,
                        .help = "The age of the oldest permit that it holds of a limit over all users.",
                        .get = value_of<&WorkerStatus::oldest>,
                        .more = "In steps of 0.067 s. Permits of limits of each user have no age.",
                        .title = "OLDEST",
                        .zero = "-"},
    Field<WorkerStatus>{.key = "waiting",
                        .kind = FieldKind::gauge,
                        .unit = Unit::requests,
                        .help = "Requests of it that wait in queues.",
                        .get = value_of<&WorkerStatus::waiting>,
                        .title = "WAITING",
                        .zero = "-"}};
inline constexpr std::array kQueues{
    Field<QueueStatus>{
        .key = "name", .help = "Its key in the configuration.", .get = value_of<&QueueStatus::name>},
    Field<QueueStatus>{.key = "waiting",
                       .kind = FieldKind::gauge,
                       .unit = Unit::requests,
                       .help = "Requests that wait in it.",
                       .get = value_of<&QueueStatus::waiting>,
                       .title = "WAITING",
                       .of = [](const QueueStatus& status) { return std::uint64_t{status.queue.seats}; },
                       .metric = {"queue_waiting", "", "Requests that wait in a queue."}},
    Field<QueueStatus>{.key = "seats",
                       .unit = Unit::requests,
                       .help = "How many may wait.",
                       .get = [](const QueueStatus& status) { return detail::to_value(status.queue.seats); },
                       .metric = {"queue_seats", "", "How many requests may wait in a queue."}},
    Field<QueueStatus>{.key = "by_priority",
                       .kind = FieldKind::state,
                       .help = "How many of each priority wait, the most urgent first.",
                       .get = value_of<&QueueStatus::by_priority>,
                       .title = "BY PRIORITY"},
    Field<QueueStatus>{.key = "oldest_s",
                       .kind = FieldKind::gauge,
                       .unit = Unit::seconds,
                       .help = "How long the request that came first has waited.",
                       .get = value_of<&QueueStatus::oldest>,
                       .title = "OLDEST",
                       .zero = "-",
                       .metric = {"queue_oldest_wait_seconds", "",
                                  "How long the request that came first to a queue has waited."}}};
inline constexpr std::array kWaiters{
    Field<WaiterStatus>{.key = "queue",
                        .help = "The key of the queue in the configuration.",
                        .get = value_of<&WaiterStatus::queue>},
    Field<WaiterStatus>{.key = "operation",
                        .help = "The operation of the request.",
                        .get = value_of<&WaiterStatus::operation>,
                        .title = "OPERATION"},
    Field<WaiterStatus>{.key = "priority",
                        .help = "From 1 to 5, the most urgent.",
                        .get = value_of<&WaiterStatus::priority>,
                        .title = "PRIORITY"},
    Field<WaiterStatus>{.key = "pid",
                        .help = "The process that waits, in its own PID namespace.",
                        .get = value_of<&WaiterStatus::pid>,
                        .title = "PID"},
    Field<WaiterStatus>{.key = "waited_s",
                        .kind = FieldKind::gauge,
                        .unit = Unit::seconds,
                        .help = "How long it has waited.",
                        .get = value_of<&WaiterStatus::waited>,
                        .title = "WAITED"},
    Field<WaiterStatus>{.key = "lacks",
                        .kind = FieldKind::state,
                        .help = "What it lacked when it last looked.",
                        .get = value_of<&WaiterStatus::lacks>,
                        .title = "LACKS"},
    Field<WaiterStatus>{.key = "absent",
                        .kind = FieldKind::state,
                        .help = "Whether it does not answer: it is stopped or dead, or gets no processor.",
                        .get = value_of<&WaiterStatus::absent>,
                        .more = "Others go first until it looks again."}};
inline constexpr std::array kSwept{
    Field<SweepStatus>{.key = "workers",
                       .kind = FieldKind::counter,
                       .unit = Unit::workers,
                       .help = "Dead workers that were swept.",
                       .get = value_of<&SweepStatus::workers>,
                       .metric = {"workers_reaped_total"}},
    Field<SweepStatus>{
        .key = "permits",
        .kind = FieldKind::counter,
        .unit = Unit::permits,
        .help = "Permits that were taken back from them.",
        .get = value_of<&SweepStatus::permits>,
        .metric = {"permits_reclaimed_total", "", "Permits that were taken back from dead workers."}},
    Field<SweepStatus>{
        .key = "late_releases",
        .kind = FieldKind::counter,
        .unit = Unit::permits,
        .help = "Permits that were given back after they had been taken back.",
        .get = value_of<&SweepStatus::late_releases>,
        .more =
            "Each of them belonged to a worker that was taken for dead but lived; nothing was freed twice.",
        .metric = {"late_releases_total"}}};
[[nodiscard]] inline Histogram response_times(const OperationStatus& operation) {
  Histogram histogram;
  std::uint64_t shorter = 0;
  for (std::size_t i = 0; i < operation.within.size(); ++i) {
    histogram.buckets.push_back(
        {OperationStatus::kFirstBound * (std::int64_t{1} << i), operation.within[i] - shorter});
    shorter = operation.within[i];
  }
  histogram.longer = operation.timed - std::min(operation.timed, shorter);
  histogram.sum = operation.time;
  return histogram;
}
inline constexpr std::array kOperations{
    Field<OperationStatus>{.key = "name", .help = "The operation.", .get = value_of<&OperationStatus::name>},
    Field<OperationStatus>{
        .key = "counted",
        .help = "Whether its requests are counted; if not, all its counters are 0.",
        .get = value_of<&OperationStatus::counted>,
        .more = "Not with `segment.metrics = \"off\"`, and not of an operation that live "
                "changes added beyond the room of the segment.",
        .metric = {"operation_counted", "",
                   "1 if the requests of an operation are counted; if not, all its counters are 0."}},
    Field<OperationStatus>{
        .key = "requests",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were decided.",
        .get = [](const OperationStatus& operation) { return detail::to_value(operation.requests()); }},
    Field<OperationStatus>{
        .key = "admitted",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were admitted.",
        .get = value_of<&OperationStatus::admitted>,
        .title = "ADMITTED",
        .metric = {"requests_total", R"(verdict="admitted")", "Requests by the verdict on them."}},
    Field<OperationStatus>{
        .key = "refused",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were refused, whatever the verdict.",
        .get = [](const OperationStatus& operation) { return detail::to_value(operation.refused()); },
        .title = "REFUSED"},
    Field<OperationStatus>{.key = "throttled",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that a rate or a window refused.",
                           .get = value_of<&OperationStatus::throttled>,
                           .metric = {"requests_total", R"(verdict="throttled")"}},
    Field<OperationStatus>{.key = "blocked",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that a cooldown refused.",
                           .get = value_of<&OperationStatus::blocked>,
                           .metric = {"requests_total", R"(verdict="blocked")"}},
    Field<OperationStatus>{
        .key = "shed",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were refused for want of a permit, at once or after a wait.",
        .get = value_of<&OperationStatus::shed>,
        .metric = {"requests_total", R"(verdict="shed")"}},
    Field<OperationStatus>{.key = "circuit_open",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that the breaker refused.",
                           .get = value_of<&OperationStatus::circuit_open>,
                           .metric = {"requests_total", R"(verdict="circuit_open")"}},
    Field<OperationStatus>{.key = "never",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that cost more than a limit ever admits.",
                           .get = value_of<&OperationStatus::never>,
                           .metric = {"requests_total", R"(verdict="never")"}},
    Field<OperationStatus>{
        .key = "succeeded",
        .kind = FieldKind::counter,
        .unit = Unit::calls,
        .help = "Admitted calls that were reported as a success.",
        .get = value_of<&OperationStatus::succeeded>,
        .metric =
            {"calls_total", R"(outcome="success")",
             "Admitted calls that have ended, by outcome; the worker of a lost one ended before it did."}},
    Field<OperationStatus>{.key = "failed",
                           .kind = FieldKind::counter,
                           .unit = Unit::calls,
                           .help = "Admitted calls that were reported as a failure.",
                           .get = value_of<&OperationStatus::failed>,
                           .metric = {"calls_total", R"(outcome="failure")"}},
    Field<OperationStatus>{.key = "ignored",
                           .kind = FieldKind::counter,
                           .unit = Unit::calls,
                           .help = "Admitted calls that ended without a report.",
                           .get = value_of<&OperationStatus::ignored>,
                           .metric = {"calls_total", R"(outcome="ignored")"}},
    Field<OperationStatus>{.key = "lost",
                           .kind = FieldKind::counter,
                           .unit = Unit::calls,
                           .help = "Admitted calls whose worker ended before they did.",
                           .get = value_of<&OperationStatus::lost>,
                           .metric = {"calls_total", R"(outcome="lost")"}},
    Field<OperationStatus>{.key = "in_flight",
                           .kind = FieldKind::gauge,
                           .unit = Unit::calls,
                           .help = "Admitted calls that have not ended.",
                           .get = value_of<&OperationStatus::in_flight>,
                           .title = "IN FLIGHT",
                           .metric = {"calls_in_flight"}},
    Field<OperationStatus>{
        .key = "error_rate",
        .kind = FieldKind::gauge,
        .unit = Unit::ratio,
        .help = "The part of the calls of the last minute that failed, of those that succeeded or failed; "
                "null if there were none.",
        .get = [](const OperationStatus& operation) { return detail::to_value(operation.error_rate()); },
        .more = "The last minute is the last 60 to 69 seconds.",
        .title = "ERRORS"},
    Field<OperationStatus>{.key = "minute_admitted",
                           .kind = FieldKind::gauge,
                           .unit = Unit::requests,
                           .help = "Requests that were admitted in the last minute.",
                           .get = value_of<&OperationStatus::minute_admitted>},
    Field<OperationStatus>{.key = "minute_refused",
                           .kind = FieldKind::gauge,
                           .unit = Unit::requests,
                           .help = "Requests that were refused in the last minute.",
                           .get = value_of<&OperationStatus::minute_refused>},
    Field<OperationStatus>{.key = "minute_succeeded",
                           .kind = FieldKind::gauge,
                           .unit = Unit::calls,
                           .help = "Calls that succeeded in the last minute.",
                           .get = value_of<&OperationStatus::minute_succeeded>},
    Field<OperationStatus>{.key = "minute_failed",
                           .kind = FieldKind::gauge,
                           .unit = Unit::calls,
                           .help = "Calls that failed in the last minute.",
                           .get = value_of<&OperationStatus::minute_failed>},
    Field<OperationStatus>{.key = "timed",
                           .kind = FieldKind::counter,
                           .unit = Unit::calls,
                           .help = "Calls that have ended, and of which the time is known.",
                           .get = value_of<&OperationStatus::timed>},
    Field<OperationStatus>{.key = "time_s",
                           .kind = FieldKind::counter,
                           .unit = Unit::seconds,
                           .help = "How long these took, together.",
                           .get = value_of<&OperationStatus::time>},
    Field<OperationStatus>{
        .key = "mean_s",
        .kind = FieldKind::gauge,
        .unit = Unit::seconds,
        .help = "How long one took, in the mean.",
        .get = [](const OperationStatus& operation) { return detail::to_value(operation.mean()); }},
    Field<OperationStatus>{
        .key = "p50_s",
        .kind = FieldKind::gauge,
        .unit = Unit::seconds,
        .help = "Half of them took no longer.",
        .get = value_of<&OperationStatus::p50>,
        .more = "Of all calls since the segment was made. A percentile is off by at most 3 %.",
        .title = "P50",
        .zero = "-"},
    Field<OperationStatus>{.key = "p90_s",
                           .kind = FieldKind::gauge,
                           .unit = Unit::seconds,
                           .help = "Nine of ten took no longer.",
                           .get = value_of<&OperationStatus::p90>},
    Field<OperationStatus>{.key = "p99_s",
                           .kind = FieldKind::gauge,
                           .unit = Unit::seconds,
                           .help = "Of 100 of them, 99 took no longer.",
                           .get = value_of<&OperationStatus::p99>,
                           .title = "P99",
                           .zero = "-"},
    Field<OperationStatus>{.key = "p999_s",
                           .kind = FieldKind::gauge,
                           .unit = Unit::seconds,
                           .help = "Of 1,000 of them, 999 took no longer.",
                           .get = value_of<&OperationStatus::p999>},
    Field<OperationStatus>{.key = "peak_s",
                           .kind = FieldKind::gauge,
                           .unit = Unit::seconds,
                           .help = "The longest one.",
                           .get = value_of<&OperationStatus::peak>,
                           .title = "PEAK",
                           .zero = "-",
                           .metric = {"call_duration_peak_seconds", "",
                                      "How long the longest call took since the segment was made."}},
    Field<OperationStatus>{
        .key = "waited",
        .kind = FieldKind::counter,
        .unit = Unit::requests,
        .help = "Requests that were admitted after they had waited.",
        .get = value_of<&OperationStatus::waited>,
        .metric = {"waits_total", R"(result="admitted")", "Requests that waited, by how that ended."}},
    Field<OperationStatus>{.key = "gave_up",
                           .kind = FieldKind::counter,
                           .unit = Unit::requests,
                           .help = "Requests that waited, and were refused in the end.",
                           .get = value_of<&OperationStatus::gave_up>,
                           .metric = {"waits_total", R"(result="refused")"}},
    Field<OperationStatus>{.key = "wait_time_s",
                           .kind = FieldKind::counter,
                           .unit = Unit::seconds,
                           .help = "How long both waited, together.",
                           .get = value_of<&OperationStatus::wait_time>,
                           .metric = {"wait_seconds_total", "", "How long requests have waited, together."}},
    Field<OperationStatus>{
        .key = "last_request",
        .kind = FieldKind::gauge,
        .help = "When the last request came, in UTC; null if none ever came.",
        .get = value_of<&OperationStatus::last_request>,
        .metric = {"last_request_timestamp_seconds", "", "When the last request of an operation came."}},
    Field<OperationStatus>{
        .key = "response_times",
        .kind = FieldKind::counter,
        .unit = Unit::calls,
        .help = "How many calls took how long: pairs of the longest time in seconds and a number of calls.",
        .get = [](const OperationStatus& operation) { return FieldValue(response_times(operation)); },
        .metric = {"call_duration_seconds", "", "How long calls took."}}};

// --- What other commands show.

inline constexpr std::array kUsers{
    Field<UserEntry>{.key = "user",
                     .help = "The user's name as far as it is remembered, or # and a hash of it.",
                     .get = value_of<&UserEntry::user>},
    Field<UserEntry>{.key = "name",
                     .kind = FieldKind::state,
                     .help = "What `user` is: the whole name, one that was cut to 48 bytes, or a hash.",
                     .get = value_of<&UserEntry::name>,
                     .more = "Names are remembered if `segment.key_names` is set. Only a user whose whole "
                             "name is known can be looked up or reset."},
    Field<UserEntry>{
        .key = "limit", .help = "The limit's key in the configuration.", .get = value_of<&UserEntry::limit>},
    Field<UserEntry>{.key = "available",
                     .kind = FieldKind::gauge,
                     .unit = Unit::requests,
                     .help = "Tokens, requests or permits that are left.",
                     .get = value_of<&UserEntry::available>},
    Field<UserEntry>{.key = "of",
                     .unit = Unit::requests,
                     .help = "The most that can be available.",
                     .get = value_of<&UserEntry::of>},
    Field<UserEntry>{.key = "permits",
                     .kind = FieldKind::gauge,
                     .unit = Unit::permits,
                     .help = "Permits that the user holds.",
                     .get = value_of<&UserEntry::permits>},
    Field<UserEntry>{.key = "waiting",
                     .kind = FieldKind::gauge,
                     .unit = Unit::requests,
                     .help = "Requests of the user that wait in a queue for this limit.",
                     .get = value_of<&UserEntry::waiting>},
    Field<UserEntry>{.key = "retry_after_s",
                     .kind = FieldKind::gauge,
                     .unit = Unit::seconds,
                     .help = "Time until one more request would pass; 0 if it would now.",
                     .get = value_of<&UserEntry::retry_after>}};
inline constexpr std::array kSegments{
    Field<SegmentEntry>{.key = "name", .help = "Its name.", .get = value_of<&SegmentEntry::name>},
    Field<SegmentEntry>{.key = "layout_version",
                        .help = "The version of its layout.",
                        .get = value_of<&SegmentEntry::layout_version>},
    Field<SegmentEntry>{.key = "library_version",
                        .help = "The version of weir that made it; empty if its file does not say.",
                        .get = value_of<&SegmentEntry::library_version>},
    Field<SegmentEntry>{
        .key = "uuid",
        .help = "Tells it from every other segment, also from earlier ones of its name; null if "
                "it cannot be read.",
        .get =
            [](const SegmentEntry& entry) {
              return entry.problem.empty() ? detail::to_value(entry.uuid) : FieldValue(nullptr);
            }},
    Field<SegmentEntry>{.key = "created",
                        .help = "When it was made, in UTC; null if it cannot be read.",
                        .get =
                            [](const SegmentEntry& entry) {
                              return entry.problem.empty() ? detail::to_value(entry.created)
                                                           : FieldValue(nullptr);
                            }},
    Field<SegmentEntry>{.key = "owner",
                        .help = "The number of the user who owns its file.",
                        .get = value_of<&SegmentEntry::owner>},
    Field<SegmentEntry>{.key = "group",
                        .help = "The number of the group of its file.",
                        .get = value_of<&SegmentEntry::group>},
    Field<SegmentEntry>{.key = "mode",
                        .help = "The permission bits of its file, in octal digits.",
                        .get = [](const SegmentEntry& entry) { return FieldValue(mode_text(entry.mode)); }},
    Field<SegmentEntry>{.key = "bytes",
                        .unit = Unit::bytes,
                        .help = "The size of its file.",
                        .get = value_of<&SegmentEntry::bytes>},
    Field<SegmentEntry>{.key = "workers",
                        .kind = FieldKind::gauge,
                        .unit = Unit::workers,
                        .help = "Living processes that have joined it; null if that is not known.",
                        .get =
                            [](const SegmentEntry& entry) {
                              return entry.problem.empty() ? detail::to_value(entry.workers)
                                                           : FieldValue(nullptr);
                            }},
    Field<SegmentEntry>{.key = "problem",
                        .help = "Why it cannot be read, and what to do; empty if it can.",
                        .get = value_of<&SegmentEntry::problem>}};
inline constexpr std::array kHistory{
    Field<ChangeEntry>{
        .key = "generation",
        .unit = Unit::changes,
        .help = "The generation that it led to; changes that were made together have the same.",
        .get = value_of<&ChangeEntry::generation>},
    Field<ChangeEntry>{
        .key = "when", .help = "When it was made, in UTC.", .get = value_of<&ChangeEntry::when>},
    Field<ChangeEntry>{
        .key = "program", .help = "The program that made it.", .get = value_of<&ChangeEntry::program>},
    Field<ChangeEntry>{
        .key = "pid", .help = "The process id of that program.", .get = value_of<&ChangeEntry::pid>},
    Field<ChangeEntry>{
        .key = "uid", .help = "The user id of that program.", .get = value_of<&ChangeEntry::uid>},
    Field<ChangeEntry>{.key = "key",
                       .help = "What was changed.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.key); }},
    Field<ChangeEntry>{.key = "from",
                       .help = "Its value before.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.from); }},
    Field<ChangeEntry>{.key = "to",
                       .help = "Its value after.",
                       .get = [](const ChangeEntry& entry) { return FieldValue(entry.change.to); }},
    Field<ChangeEntry>{.key = "undoes",
                       .help = "The first generation that this rollback took back, with all after it; null "
                               "for any other change.",
                       .get = [](const ChangeEntry& entry) {
                         return entry.undoes == 0 ? FieldValue(nullptr) : FieldValue(entry.undoes);
                       }}};
inline constexpr std::array kEvents{
    Field<EventEntry>{.key = "number",
                      .help = "Its position in the order of the host, from 1; of the first one that is lost.",
                      .get = value_of<&EventEntry::number>},
    Field<EventEntry>{
        .key = "kind",
        .kind = FieldKind::state,
        .help = "joined, left, reaped; opened, half_open, closed, forced; changed, rolled_back, reset; "
                "evicting, table_full; late_release, fault; alert_raised, alert_cleared; or lost.",
        .get = value_of<&EventEntry::kind>,
        .more = "`lost` stands for records that newer ones have overwritten, or whose writers were killed or "
                "stopped in the middle. `evicting`, `table_full`, `late_release` and `fault` are written at "
                "most once a minute each."},
    Field<EventEntry>{.key = "severity",
                      .kind = FieldKind::state,
                      .help = "note, warning or alarm.",
                      .get = value_of<&EventEntry::severity>},
    Field<EventEntry>{.key = "when",
                      .help = "When it was written, in UTC, by the clock of its writer; null if it is lost.",
                      .get =
                          [](const EventEntry& entry) {
                            return entry.kind == EventKind::lost ? FieldValue(nullptr)
                                                                 : FieldValue(entry.when);
                          }},
    Field<EventEntry>{.key = "operation",
                      .help = "The operation that it is about; empty if it is about another thing.",
                      .get = value_of<&EventEntry::operation>},
    Field<EventEntry>{
        .key = "subject",
        .help = "What it is about: a key, a program, a transition.",
        .get = value_of<&EventEntry::subject>,
        .more = "At most 56 bytes of it, then three dots. It never contains the name of a user."},
    Field<EventEntry>{.key = "value",
                      .help = "A number, by its kind.",
                      .get = value_of<&EventEntry::value>,
                      .more = "joined, left, reaped: the worker slot. opened: failed or slow calls. changed, "
                              "rolled_back: the generation, by which `history` says more. reset: limits over "
                              "all users. evicting: users forgotten so far. table_full: requests so far. "
                              "late_release: permits so far. lost: how many records."},
    Field<EventEntry>{.key = "of",
                      .help = "The number beside it, by its kind.",
                      .get = value_of<&EventEntry::of>,
                      .more = "reaped: permits taken back. opened: calls in the window, or 0 if it counts "
                              "failures in a row. changed, rolled_back: values that changed together. reset: "
                              "entries of users. evicting, table_full: entries of the table."},
    Field<EventEntry>{.key = "text",
                      .help = "All this in words.",
                      .get = [](const EventEntry& entry) { return FieldValue(event_text(entry)); }},
    Field<EventEntry>{
        .key = "program", .help = "The program that wrote it.", .get = value_of<&EventEntry::program>},
    Field<EventEntry>{
        .key = "pid",
        .help = "The process id of that program, in its own PID namespace; null if it is not known.",
        .get =
            [](const EventEntry& entry) {
              return entry.pid == 0 ? FieldValue(nullptr) : detail::to_value(entry.pid);
            }},
    Field<EventEntry>{.key = "uid",
                      .help = "The user id of that program; null if it is not known.",
                      .get = [](const EventEntry& entry) {
                        return entry.pid == 0 ? FieldValue(nullptr) : detail::to_value(entry.uid);
                      }}};
inline constexpr std::array kChanges{
    Field<ConfigChange>{.key = "key", .help = "What is changed.", .get = value_of<&ConfigChange::key>},
    Field<ConfigChange>{.key = "from", .help = "Its value before.", .get = value_of<&ConfigChange::from>},
    Field<ConfigChange>{.key = "to", .help = "Its value after.", .get = value_of<&ConfigChange::to>}};
inline constexpr std::array kValues{
    Field<ConfigValue>{
        .key = "key", .help = "Its key in the configuration.", .get = value_of<&ConfigValue::key>},
    Field<ConfigValue>{.key = "value", .help = "The value, as TOML.", .get = value_of<&ConfigValue::value>},
    Field<ConfigValue>{.key = "origin",
                       .help = "The file, line and column, or the variable, that it comes from.",
                       .get = value_of<&ConfigValue::origin>}};
inline constexpr std::array kReset{Field<ResetReport>{.key = "limits",
                                                      .help = "Limits over all users that were reset.",
                                                      .get = value_of<&ResetReport::limits>},
                                   Field<ResetReport>{.key = "users",
                                                      .unit = Unit::entries,
                                                      .help = "Entries of users that were reset.",
                                                      .get = value_of<&ResetReport::users>}};

}  // namespace weir::fields
