#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace lathe {
namespace {

constexpr double kQuietSeconds = 2.0;      // tasks shorter than this show nothing
constexpr double kTerminalInterval = 0.1;  // seconds between redraws
constexpr double kPlainInterval = 5.0;
constexpr int kBarWidth = 30;

bool progress_enabled = true;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string format_amount(double amount, ProgressUnit unit) {
  if (unit == ProgressUnit::kBytes) return format_bytes(amount);
  return fmt::format("{:.0f}", amount);
}

std::string format_rate(double rate, ProgressUnit unit) {
  switch (unit) {
    case ProgressUnit::kBytes:
      return format_bytes(rate) + "/s";
    case ProgressUnit::kTokens:
      return fmt::format("{:.0f} tokens/s", rate);
    case ProgressUnit::kItems:
      return fmt::format("{:.1f}/s", rate);
  }
  return {};
}

}  // namespace

Progress::Progress(std::string title, int64_t total, ProgressUnit unit)
    : title_(std::move(title)),
      total_(std::max<int64_t>(total, 0)),
      unit_(unit),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_) {}

Progress::~Progress() { finish(); }

void Progress::set_enabled(bool enabled) { progress_enabled = enabled; }

void Progress::advance(int64_t amount) {
  done_ += amount;
  const double interval = terminal_ ? kTerminalInterval : kPlainInterval;
  if (seconds_since(start_) >= kQuietSeconds && (!drawn_ || seconds_since(last_draw_) >= interval))
    draw(false);
}

void Progress::set_detail(std::string detail) { detail_ = std::move(detail); }

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (drawn_ || seconds_since(start_) >= kQuietSeconds) draw(true);
}

void Progress::draw(bool final) {
  if (!progress_enabled) return;
  drawn_ = true;
  last_draw_ = std::chrono::steady_clock::now();
  const std::string line = describe(terminal_);
  if (terminal_) {
    std::fputs(fmt::format("\r\x1b[K{}{}", line, final ? "\n" : "").c_str(), stderr);
  } else {
    std::fputs((line + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

std::string Progress::describe(bool with_bar) const {
  const double elapsed = std::max(seconds_since(start_), 1e-9);
  const double rate = static_cast<double>(done_) / elapsed;
  const double fraction =
      total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 1.0;
  std::string line = title_;
  if (with_bar) {
    const int filled = static_cast<int>(fraction * kBarWidth);
    line += fmt::format(" [{}{}]", std::string(filled, '#'), std::string(kBarWidth - filled, '.'));
  }
  line += fmt::format(" {:3.0f}% {} of {}, {}", fraction * 100,
                      format_amount(static_cast<double>(done_), unit_),
                      format_amount(static_cast<double>(total_), unit_), format_rate(rate, unit_));
  if (finished_ || done_ >= total_) {
    line += fmt::format(", {} in all", format_duration(elapsed));
  } else if (rate > 0) {
    line += fmt::format(", {} left", format_duration(static_cast<double>(total_ - done_) / rate));
  }
  if (!detail_.empty() && !finished_) line += "  " + detail_;
  return line;
}

std::string format_bytes(double bytes) {
  constexpr std::array<std::string_view, 6> units = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int digits = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, digits, units[unit]);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace lathe
