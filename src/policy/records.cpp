#include "policy/records.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "policy/schema.hpp"
#include "primitives/permits.hpp"

namespace weir::detail {
namespace {

template <std::size_t N>
std::array<char, N> to_text(std::string_view from) {
  std::array<char, N> text{};
  std::copy_n(from.data(), std::min(from.size(), N - 1), text.begin());
  return text;
}

template <std::size_t N>
bool terminated(const std::array<char, N>& text) {
  return std::find(text.begin(), text.end(), '\0') != text.end();
}

class Compiler {
 public:
  explicit Compiler(const Config& config) {
    records_.settings.users = config.segment.users;
    records_.settings.mode = config.segment.mode;
    records_.settings.workers = config.segment.workers;
    records_.settings.when_full = static_cast<std::uint8_t>(config.segment.when_full);
    records_.settings.reserve = config.segment.reserve ? 1 : 0;
    records_.settings.group = to_text<64>(config.segment.group);
    add(config.global, kGlobal);
    for (const auto& [name, operation] : config.operations) {
      records_.operations.push_back({to_text<kMaxNameLength + 8>(name)});
      add(operation, static_cast<std::uint16_t>(records_.operations.size() - 1));
    }
  }

  Records take() { return std::move(records_); }

 private:
  void add(const OperationPolicy& policy, std::uint16_t operation) {
    add(policy.shared, operation, LimitScope::shared);
    add(policy.user, operation, LimitScope::user);
  }

  void add(const Limits& limits, std::uint16_t operation, LimitScope scope) {
    for (std::size_t i = 0; i < limits.rates.size(); ++i) {
      const Rate& rate = limits.rates[i];
      LimitRecord record;
      record.scope = scope;
      record.operation = operation;
      record.index = static_cast<std::uint16_t>(i);
      record.siblings = static_cast<std::uint16_t>(limits.rates.size());
      record.burst = rate.burst;
      record.state = scope == LimitScope::shared ? next_state_++ : 0;
      record.count = rate.count;
      record.period_ns = rate.period.count();
      record.emission_interval = emission_interval(rate);
      records_.limits.push_back(record);
    }
    if (limits.concurrent != 0) add_permits(limits.concurrent, operation, scope);
  }

  void add_permits(std::uint32_t concurrent, std::uint16_t operation, LimitScope scope) {
    LimitRecord record;
    record.kind = LimitKind::permits;
    record.scope = scope;
    record.operation = operation;
    record.siblings = 1;
    record.burst = concurrent;
    if (scope == LimitScope::shared) record.state = std::exchange(next_cell_, next_cell_ + concurrent);
    records_.limits.push_back(record);
  }

  Records records_;
  std::uint32_t next_state_ = 0;
  std::uint32_t next_cell_ = 0;
};

auto damaged(const Segment& segment, std::string_view fact) {
  return fail(Errc::damaged, fmt::format("segment \"{}\": damaged: {}", segment.name(), fact),
              fmt::format("remove it with: shm-inspect --segment {} remove", segment.name()));
}

bool sound_permits(const LimitRecord& limit, const Records& records) {
  if (limit.scope == LimitScope::user) return limit.permits() >= 1 && limit.permits() <= kMaxUserPermits;
  const std::uint64_t end = std::uint64_t{limit.state} + limit.permits();
  return limit.permits() >= 1 && limit.permits() <= kMaxPermits && end <= records.permit_cells();
}

bool sound(const LimitRecord& limit, const Records& records) {
  if (limit.scope > LimitScope::user) return false;
  if (limit.operation != kGlobal && limit.operation >= records.operations.size()) return false;
  if (limit.kind == LimitKind::permits) return sound_permits(limit, records);
  if (limit.kind != LimitKind::rate) return false;
  if (limit.burst == 0 || limit.emission_interval == 0 || limit.count == 0 || limit.period_ns <= 0)
    return false;
  if (limit.index >= limit.siblings) return false;
  if (limit.emission_interval > kMaxDepthTicks / limit.burst) return false;
  return limit.scope == LimitScope::user || limit.state < records.shared_states();
}

}  // namespace

std::uint64_t Records::shared_states() const noexcept {
  return static_cast<std::uint64_t>(std::count_if(limits.begin(), limits.end(), [](const LimitRecord& limit) {
    return limit.kind == LimitKind::rate && limit.scope == LimitScope::shared;
  }));
}

std::uint64_t Records::permit_cells() const noexcept {
  std::uint64_t cells = 0;
  for (const LimitRecord& limit : limits) {
    if (limit.kind == LimitKind::permits && limit.scope == LimitScope::shared) cells += limit.permits();
  }
  return cells;
}

std::string Records::name(const LimitRecord& limit) const {
  const std::string owner = limit.operation == kGlobal
                                ? "global"
                                : fmt::format("operations.{}", operations[limit.operation].name.data());
  const std::string_view scope = limit.scope == LimitScope::user ? ".user" : "";
  if (limit.kind == LimitKind::permits) return fmt::format("{}{}.concurrent", owner, scope);
  return limit.siblings == 1 ? fmt::format("{}{}.rate", owner, scope)
                             : fmt::format("{}{}.rate[{}]", owner, scope, limit.index);
}

std::uint64_t emission_interval(const Rate& rate) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide period = static_cast<Wide>(static_cast<std::uint64_t>(rate.period.count())) << kTickShift;
  const Wide interval = (period + rate.count - 1) / rate.count;
  return interval > kMaxDepthTicks ? kMaxDepthTicks + 1 : static_cast<std::uint64_t>(interval);
}

Records compile(const Config& config) {
  return Compiler(config).take();
}

Expected<Records> read_records(const Segment& segment) {
  Records records;
  const auto settings = elements<SettingsRecord>(segment, kSettingsSection);
  const auto operations = elements<OperationRecord>(segment, kOperationsSection);
  const auto limits = elements<LimitRecord>(segment, kLimitsSection);
  if (settings.size() != 1 || operations.size() > kMaxOperations || limits.size() > kMaxLimits) {
    return damaged(segment, "its policy has an impossible size");
  }
  records.settings = settings.front();
  records.operations.assign(operations.begin(), operations.end());
  records.limits.assign(limits.begin(), limits.end());
  const bool named = std::all_of(records.operations.begin(), records.operations.end(),
                                 [](const OperationRecord& operation) { return terminated(operation.name); });
  if (!named || !terminated(records.settings.group))
    return damaged(segment, "unterminated name in its policy");
  for (const LimitRecord& limit : records.limits) {
    if (!sound(limit, records)) return damaged(segment, "impossible limit in its policy");
  }
  if (records.settings.workers == 0 || records.settings.workers > kMaxWorkers ||
      records.settings.when_full > static_cast<std::uint8_t>(TableFull::admit))
    return damaged(segment, "impossible settings");
  if (elements<SharedState>(segment, kSharedStatesSection).size() < records.shared_states() ||
      elements<UserTableCounters>(segment, kUserCountersSection).size() != 1 ||
      elements<UserBucket>(segment, kUsersSection).size() < 2 ||
      elements<WorkerSlot>(segment, kWorkersSection).size() != records.settings.workers ||
      elements<Word>(segment, kPermitCellsSection).size() < records.permit_cells() ||
      elements<SweepCounters>(segment, kSweepCountersSection).size() != 1) {
    return damaged(segment, "a section is too small for its policy");
  }
  return records;
}

Config decompile(const Records& records, std::string_view segment_name) {
  Config config;
  config.segment.name = segment_name;
  config.segment.users = records.settings.users;
  config.segment.mode = records.settings.mode;
  config.segment.workers = records.settings.workers;
  config.segment.when_full = static_cast<TableFull>(records.settings.when_full);
  config.segment.reserve = records.settings.reserve != 0;
  config.segment.group = records.settings.group.data();
  for (const OperationRecord& operation : records.operations) config.operations[operation.name.data()];
  for (const LimitRecord& limit : records.limits) {
    OperationPolicy& policy = limit.operation == kGlobal
                                  ? config.global
                                  : config.operations[records.operations[limit.operation].name.data()];
    Limits& limits = limit.scope == LimitScope::user ? policy.user : policy.shared;
    if (limit.kind == LimitKind::permits) limits.concurrent = limit.permits();
    if (limit.kind == LimitKind::rate) limits.rates.push_back(limit.rate());
  }
  return config;
}

}  // namespace weir::detail
