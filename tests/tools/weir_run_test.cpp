// SPDX-License-Identifier: Apache-2.0

// weir-run as cron and a shell meet it: exit statuses, refusals, signals, and what a kill leaves behind.

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "weir/control.hpp"
#include "weir/limiter.hpp"

#include "segment/layout.hpp"
#include "support/fork.hpp"
#include "support/process.hpp"
#include "support/segment_name.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::Ran;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;

using Arguments = std::vector<std::string>;
using Variables = std::vector<std::pair<std::string, std::string>>;

Arguments operator+(Arguments left, const Arguments& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// Runs the tool with WEIR_SEGMENT empty, which is as good as unset.
Ran weir_run(const Arguments& arguments, const Variables& environment = {{"WEIR_SEGMENT", ""}}) {
  return test::run(Arguments{WEIR_BIN_DIR "/weir-run"} + arguments, {}, environment);
}

/// A running weir-run whose command reads what the test says and answers.
class Job {
 public:
  explicit Job(Arguments arguments) {
    int in[2];
    int out[2];
    // A socket, so that writing to a command that is gone is an error and no SIGPIPE.
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    arguments.insert(arguments.begin(), WEIR_BIN_DIR "/weir-run");
    pid_ = test::fork_child([&] {
      const rlimit no_core_files{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core_files);
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execv(arguments[0].c_str(), test::exec_array(arguments).data());
      return 99;
    });
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() {
    end_input();
    if (pid_ > 0) signal(SIGKILL), (void)wait();
    ::close(from_);
  }

  void signal(int number) const { ::kill(pid_, number); }

  /// The next line that the command writes; empty when no process is left that could write.
  [[nodiscard]] std::string line() const {
    std::string text;
    for (char byte = 0; read_byte(byte) && byte != '\n';) text += byte;
    return text;
  }
  /// What `cat` says to that.
  [[nodiscard]] std::string echo(const std::string& text) const {
    EXPECT_GT(::send(to_, (text + "\n").data(), text.size() + 1, MSG_NOSIGNAL), 0);
    return line();
  }
  /// Whether all processes that could write have ended, while the input is still open.
  [[nodiscard]] bool all_gone() const {
    char byte = 0;
    return !read_byte(byte) && !timed_out_;
  }
  void end_input() {
    if (to_ >= 0) ::close(std::exchange(to_, -1));
  }
  /// Waits for weir-run. @return what waitpid() tells.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  /// Ends the input, which ends `cat`. @return the exit status of weir-run.
  int finish() {
    end_input();
    if (!all_gone()) signal(SIGKILL);  // the test has failed; it need not hang
    const int status = wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  bool read_byte(char& byte) const {
    pollfd readable{from_, POLLIN, 0};
    timed_out_ = ::poll(&readable, 1, 20'000) == 0;
    EXPECT_FALSE(timed_out_) << "the command neither writes nor ends";
    return !timed_out_ && ::read(from_, &byte, 1) == 1;
  }

  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  mutable bool timed_out_ = false;
};

class WeirRun : public testing::Test {
 protected:
  WeirRun() {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    Config config;
    config.segment.name = segment_.str();
    config.segment.users = 1000;
    config.segment.workers = 16;
    config.operations["free"];
    config.operations["job"].shared.concurrent = 1;
    config.operations["backup"].shared.rates = {{1, 24h, 1}};
    config.operations["export"].user.rates = {{1, 24h, 1}};
    config.operations["bulk"].shared.rates = {{1, 24h, 5}};
    config.operations["heavy"].shared.concurrent = 2;
    config.operations["call"].breaker = Breaker{.failures = 2, .recovery = 1h};
    const Result<Limiter> limiter = Limiter::open(config);
    EXPECT_TRUE(limiter) << limiter.error().message();
  }
  ~WeirRun() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  [[nodiscard]] Arguments under(const std::string& operation, const Arguments& more = {}) const {
    return Arguments{"--segment", segment_.str(), "--operation", operation} + more + Arguments{"--"};
  }

  /// Changes the header without the library's knowledge.
  template <class Change>
  void forge(Change&& change) const {
    const int fd = ::open(segment_.path().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0) << segment_.path();
    detail::Header header;
    EXPECT_EQ(::pread(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    change(header);
    EXPECT_EQ(::pwrite(fd, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
    ::close(fd);
  }

  test::SegmentName segment_;
  std::string directory_ = testing::TempDir() + "weir-run-XXXXXX";
};

TEST_F(WeirRun, PassesTheExitStatusAndTheOutputOn) {
  const Ran ran = weir_run(under("free") + Arguments{"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, TellsASignalThatEndedTheCommandAsAShellDoes) {
  EXPECT_EQ(weir_run(under("free") + Arguments{"sh", "-c", "kill -9 $$"}).status, 128 + SIGKILL);
}

TEST_F(WeirRun, HandsTheArgumentsOverAsTheyAre) {
  const Ran ran = weir_run(under("free") + Arguments{"printf", "<%s>", "[a,b]", "", "--", "--cost", "x y"});
  EXPECT_EQ(ran.out, "<[a,b]><><--><--cost><x y>");
}

TEST_F(WeirRun, TakesTheSegmentFromTheEnvironmentToo) {
  const Variables environment = {{"WEIR_SEGMENT", segment_.str()}};
  EXPECT_EQ(weir_run({"--operation", "free", "--", "sh", "-c", "exit 9"}, environment).status, 9);
}

TEST_F(WeirRun, RefusesOverTheRateByNameAndStartsNothing) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  const Ran refused = weir_run(under("backup") + Arguments{"touch", path("started")});
  EXPECT_EQ(refused.status, 75);
  EXPECT_THAT(refused.err, MatchesRegex("weir-run: operation \"backup\": throttled by "
                                        "operations\\.backup\\.rate; retry after [0-9.]+[a-z]+\n"));
  EXPECT_FALSE(std::filesystem::exists(path("started")));
}

TEST_F(WeirRun, RefusesWithTheStatusThatWasAskedFor) {
  EXPECT_EQ(weir_run(under("backup", {"--status", "42"}) + Arguments{"true"}).status, 0);
  EXPECT_EQ(weir_run(under("backup", {"--status", "42"}) + Arguments{"true"}).status, 42);
}

TEST_F(WeirRun, LimitsEachUserAlone) {
  EXPECT_EQ(weir_run(under("export", {"--user", "ann"}) + Arguments{"true"}).status, 0);
  const Ran again = weir_run(under("export", {"--user", "ann"}) + Arguments{"true"});
  EXPECT_EQ(again.status, 75);
  EXPECT_THAT(again.err, HasSubstr("throttled by operations.export.user.rate;"));
  EXPECT_EQ(weir_run(under("export", {"--user", "bob"}) + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, SpendsTheCostItIsGiven) {
  EXPECT_EQ(weir_run(under("bulk", {"--cost", "4"}) + Arguments{"true"}).status, 0);
  EXPECT_EQ(weir_run(under("bulk", {"--cost", "2"}) + Arguments{"true"}).status, 75);
  EXPECT_EQ(weir_run(under("bulk") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, SaysWhenNoWaitHelps) {
  const Ran costly = weir_run(under("bulk", {"--cost", "6"}) + Arguments{"true"});
  EXPECT_EQ(costly.status, 65);
  EXPECT_EQ(
      costly.err,
      "weir-run: operation \"bulk\": it asks for more than operations.bulk.rate ever allows; lower --cost "
      "or --weight, or raise the limit\n");
  const Ran heavy = weir_run(under("heavy", {"--weight", "3"}) + Arguments{"true"});
  EXPECT_EQ(heavy.status, 65);
  EXPECT_EQ(weir_run(under("heavy", {"--weight", "3", "--status", "42"}) + Arguments{"true"}).status, 65);
  EXPECT_THAT(heavy.err, HasSubstr("more than operations.heavy.concurrent ever allows"));
}

/// Runs the tool by a shell, which changes its descriptors.
int status_under(const std::string& redirection, const Arguments& arguments) {
  const std::string script = "exec \"$0\" \"$@\" " + redirection;
  return test::run(Arguments{"sh", "-c", script, WEIR_BIN_DIR "/weir-run"} + arguments).status;
}

TEST_F(WeirRun, KeepsItsStatusWhateverBecomesOfItsMessages) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  for (const std::string redirection : {"2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"}) {
    EXPECT_EQ(status_under(redirection, under("backup") + Arguments{"true"}), 75) << redirection;
    EXPECT_EQ(status_under(redirection, under("bakcup") + Arguments{"true"}), 2) << redirection;
    EXPECT_EQ(status_under(redirection, {"--segment", "no-such-segment", "--operation", "x", "--", "true"}),
              3);
    EXPECT_EQ(status_under(redirection, under("free") + Arguments{"no-such-command-here"}), 127)
        << redirection;
    EXPECT_EQ(status_under(redirection, under("free") + Arguments{"sh", "-c", "exit 5"}), 5) << redirection;
    EXPECT_EQ(status_under(redirection, {"--nonsense"}), 2) << redirection;
    EXPECT_TRUE(Limiter::attach(segment_.str())) << redirection;
  }
}

TEST_F(WeirRun, KeepsItsStatusWhenTheReaderOfItsMessagesIsGone) {
  EXPECT_EQ(weir_run(under("backup") + Arguments{"true"}).status, 0);
  int gone[2];
  ASSERT_EQ(::pipe(gone), 0);
  ::close(gone[0]);
  EXPECT_EQ(test::in_child([&] {
              ::dup2(gone[1], STDERR_FILENO);
              std::vector<std::string> arguments =
                  Arguments{WEIR_BIN_DIR "/weir-run"} + under("backup") + Arguments{"true"};
              ::execv(arguments[0].c_str(), test::exec_array(arguments).data());
              return 99;
            }),
            75);
  ::close(gone[1]);
}

TEST_F(WeirRun, SaysThatItsHelpCannotBeWritten) {
  for (const std::string option : {"--help", "--version"}) {
    EXPECT_EQ(status_under(">/dev/full", {option}), 1) << option;
    EXPECT_EQ(status_under(">&-", {option}), 1) << option;
  }
}

TEST_F(WeirRun, TakesAnEmptyNameForAVariableThatIsNotSet) {
  const Arguments cases[] = {under("export", {"--user", ""}),
                             under("export", {"--user="}),
                             under(""),
                             {"--segment", "", "--operation", "job", "--"},
                             {"--config", "", "--operation", "job", "--"}};
  for (const Arguments& arguments : cases) {
    const Ran ran = weir_run(arguments + Arguments{"touch", path("started")});
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(ran.err, HasSubstr("is a variable not set?"));
  }
  EXPECT_FALSE(std::filesystem::exists(path("started")));
}

TEST_F(WeirRun, TellsAFolderThatMayNotBeSearchedFromACommandThatMayNotBeRun) {
  std::filesystem::create_directory(path("closed"));
  std::filesystem::create_directory(path("open"));
  std::ofstream(path("open/plain")) << "no program";
  std::filesystem::permissions(path("closed"), std::filesystem::perms::none);
  const Variables environment = {{"PATH", path("closed") + ":" + path("open") + ":/usr/bin:/bin"}};
  EXPECT_EQ(weir_run(under("free") + Arguments{"no-such-command-here"}, environment).status, 127);
  EXPECT_EQ(weir_run(under("free") + Arguments{"plain"}, environment).status, 126);
  EXPECT_EQ(weir_run(under("free") + Arguments{path("open")}, environment).status, 126);
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}, environment).status, 0);
  std::filesystem::permissions(path("closed"), std::filesystem::perms::owner_all);
}

TEST_F(WeirRun, TellsTheBreakerOfFailuresAndIsRefusedWhileItIsOpen) {
  for (int i = 0; i < 2; ++i) EXPECT_EQ(weir_run(under("call") + Arguments{"false"}).status, 1);
  const Ran refused = weir_run(under("call") + Arguments{"true"});
  EXPECT_EQ(refused.status, 75);
  EXPECT_THAT(refused.err, HasSubstr("operations.call.breaker is open after failures; retry after "));
  ASSERT_TRUE(switch_breaker(segment_.str(), "call", BreakerSwitch::forced_open));
  EXPECT_THAT(
      weir_run(under("call") + Arguments{"true"}).err,
      HasSubstr("operations.call.breaker is held open by an operator; retry when it is switched back"));
  ASSERT_TRUE(switch_breaker(segment_.str(), "call", BreakerSwitch::automatic));
  EXPECT_EQ(weir_run(under("call") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, HoldsItsPermitAsLongAsTheCommandRuns) {
  Job first(under("job") + Arguments{"cat"});
  ASSERT_EQ(first.echo("hello"), "hello");

  const Ran second = weir_run(under("job") + Arguments{"touch", path("started")});
  EXPECT_EQ(second.status, 75);
  EXPECT_EQ(
      second.err,
      "weir-run: operation \"job\": no permit is free (operations.job.concurrent); retry when another job "
      "has finished\n");
  EXPECT_FALSE(std::filesystem::exists(path("started")));

  EXPECT_EQ(first.finish(), 0);
  Job third(under("job") + Arguments{"cat"});
  EXPECT_EQ(third.echo("hello"), "hello");
}

TEST_F(WeirRun, HoldsAsManyPermitsAsItsWeight) {
  Job both(under("heavy", {"--weight", "2"}) + Arguments{"cat"});
  ASSERT_EQ(both.echo("hello"), "hello");
  EXPECT_EQ(weir_run(under("heavy") + Arguments{"true"}).status, 75);
}

TEST_F(WeirRun, KilledTakesTheCommandWithItAndLeavesThePermitToTheNext) {
  Job job(under("job") + Arguments{"cat"});
  ASSERT_EQ(job.echo("hello"), "hello");
  job.signal(SIGKILL);
  EXPECT_TRUE(job.all_gone());
  (void)job.wait();
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, DetachedLetsTheCommandOutliveItButNotItsPermit) {
  Job job(under("job", {"--detach-on-kill"}) + Arguments{"cat"});
  ASSERT_EQ(job.echo("hello"), "hello");
  job.signal(SIGKILL);
  (void)job.wait();
  EXPECT_EQ(job.echo("still here"), "still here");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
  job.end_input();
  EXPECT_TRUE(job.all_gone());
}

TEST_F(WeirRun, PassesSignalsOnAndOutlivesThem) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM}) {
    Job job(under("job") + Arguments{"cat"});
    ASSERT_EQ(job.echo("hello"), "hello");
    job.signal(number);
    ASSERT_TRUE(job.all_gone()) << "signal " << number;
    const int status = job.wait();
    ASSERT_TRUE(WIFEXITED(status)) << "weir-run died of the signal itself: " << number;
    EXPECT_EQ(WEXITSTATUS(status), 128 + number);
  }
}

TEST_F(WeirRun, WaitsForACommandThatCleansUpAfterASignal) {
  Job job(under("job") +
          Arguments{"sh", "-c", "trap 'echo cleaning; read end; exit 7' TERM; echo ready; read wait"});
  ASSERT_EQ(job.line(), "ready");
  job.signal(SIGTERM);
  EXPECT_EQ(job.line(), "cleaning");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 75);
  EXPECT_EQ(job.finish(), 7);
}

TEST_F(WeirRun, StartsTheCommandWithTheSignalsAndDescriptorsItWasStartedWith) {
  const Arguments signals = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"};
  EXPECT_EQ(weir_run(under("job") + signals).out, test::run(signals).out);
  const Arguments descriptors = {"ls", "/proc/self/fd"};
  EXPECT_EQ(weir_run(under("job") + descriptors).out, test::run(descriptors).out);
}

TEST_F(WeirRun, KnowsTheStatusEvenWhereItsCallerIgnoresItsChildren) {
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  Job job(under("free") + Arguments{"sh", "-c", "echo ready; read wait; exit 6"});
  ::sigaction(SIGCHLD, &before, nullptr);
  EXPECT_EQ(job.line(), "ready");
  EXPECT_EQ(job.finish(), 6);
}

TEST_F(WeirRun, SaysThatThereIsNoSuchCommandAndGivesThePermitBack) {
  const Ran missing = weir_run(under("job") + Arguments{"no-such-command-here"});
  EXPECT_EQ(missing.status, 127);
  EXPECT_EQ(missing.err, "weir-run: command \"no-such-command-here\": No such file or directory\n");
  const Ran plain = weir_run(under("job") + Arguments{"/dev/null"});
  EXPECT_EQ(plain.status, 126);
  EXPECT_EQ(plain.err, "weir-run: command \"/dev/null\": Permission denied\n");
  EXPECT_EQ(weir_run(under("job") + Arguments{"true"}).status, 0);
}

TEST_F(WeirRun, NamesTheNearestOperation) {
  const Ran ran = weir_run(under("bakcup") + Arguments{"true"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err,
              AllOf(StartsWith("weir-run: operation \"bakcup\": "), EndsWith("did you mean \"backup\"?\n")));
}

TEST_F(WeirRun, SaysThatThereIsNoSuchSegment) {
  const test::SegmentName missing;
  const Ran ran = weir_run({"--segment", missing.str(), "--operation", "job", "--", "true"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, StartsWith("weir-run: segment \"" + missing.str() + "\": "));
}

TEST_F(WeirRun, SaysByItsStatusThatTheLayoutIsAnother) {
  forge([](detail::Header& header) { header.layout_version += 1; });
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 4);
}

TEST_F(WeirRun, SaysByItsStatusThatTheSegmentIsDamaged) {
  forge([](detail::Header& header) { header.total_bytes += 1; });
  EXPECT_EQ(weir_run(under("free") + Arguments{"true"}).status, 5);
}

TEST_F(WeirRun, RefusesAFileThatIsNoSegmentAsSuch) {
  const test::SegmentName other;
  std::ofstream(other.path()) << "something else";
  const Ran ran = weir_run({"--segment", other.str(), "--operation", "job", "--", "true"});
  std::filesystem::remove(other.path());
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr(other.str()));
}

TEST_F(WeirRun, CreatesTheSegmentOfAConfigurationOnceAndKeepsIt) {
  const test::SegmentName name;
  std::ofstream(path("jobs.toml")) << "[segment]\nusers = 1_000\n[operations.sync]\nrate = \"1/day\"\n";
  const Arguments sync = {"--config", path("jobs.toml"), "--segment", name.str(), "--operation", "sync", "--",
                          "true"};
  EXPECT_EQ(weir_run(sync).status, 0);
  EXPECT_TRUE(Limiter::attach(name.str()));
  const Ran again = weir_run(sync);
  EXPECT_EQ(again.status, 75);
  EXPECT_THAT(again.err, HasSubstr("throttled by operations.sync.rate; retry after "));
}

TEST_F(WeirRun, TellsAMissingConfigurationFromAMissingSegment) {
  const Ran ran = weir_run({"--config", path("missing.toml"), "--operation", "sync", "--", "true"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("missing.toml"));
}

TEST_F(WeirRun, RefusesAWrongCommandLineInOneLine) {
  const Arguments wrong[] = {
      {"--operation", "job", "--", "true"},         // no segment
      {"--segment", segment_.str(), "--", "true"},  // no operation
      under("job", {"--status", "0"}) + Arguments{"true"},
      under("job", {"--status", "256"}) + Arguments{"true"},
      under("job", {"--cost", "0"}) + Arguments{"true"},
      under("job", {"--cost", "-1"}) + Arguments{"true"},
      under("job", {"--weight", "4294967296"}) + Arguments{"true"},
      under("job", {"--nonsense"}) + Arguments{"true"},
      under("job"),  // no command
      {"--segment", segment_.str(), "--operation", "job"},
      {"--segment", segment_.str(), "--operation", "job", "true"},
  };
  for (const Arguments& arguments : wrong) {
    const Ran ran = weir_run(arguments);
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(ran.err, MatchesRegex("weir-run: [^\n]+\n"));
  }
}

TEST_F(WeirRun, ExplainsItself) {
  const Ran help = weir_run({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out,
              AllOf(HasSubstr("-- COMMAND ARGS..."), HasSubstr("In a crontab"), HasSubstr("--status")));
  EXPECT_THAT(help.err, IsEmpty());
}

}  // namespace
}  // namespace weir
