#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <string_view>

namespace lathe::cli {
namespace {

constexpr int kInterruptedExitCode = 130;
std::atomic<bool> resumable = false;

/// Only what may be called in a signal handler.
void end_program(int) {
  constexpr std::string_view kPlain = "\ninterrupted\n";
  constexpr std::string_view kResumable =
      "\ninterrupted: finished layers are kept; the same command with --resume continues\n";
  const std::string_view line = resumable ? kResumable : kPlain;
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) ::_exit(kInterruptedExitCode);
  ::_exit(kInterruptedExitCode);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = end_program;
  sigfillset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void announce_resume_on_interrupt() { resumable = true; }

}  // namespace lathe::cli
