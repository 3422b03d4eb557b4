#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lathe {

/// How progress is counted and shown.
enum class ProgressUnit { kItems, kBytes, kTokens };

/// Progress of one task on standard error, with rate and time left: a bar that redraws itself on a
/// terminal, a plain line every few seconds elsewhere, nothing for tasks that end within two
/// seconds.
class Progress {
 public:
  Progress(std::string title, int64_t total, ProgressUnit unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t amount);
  /// Shown after the title: the layer that is being worked on.
  void set_detail(std::string detail);
  /// Draws the final state. Called by the destructor too.
  void finish();

  /// Turns all progress off (tests, --quiet) or on.
  static void set_enabled(bool enabled);

 private:
  void draw(bool final);
  std::string describe(bool with_bar) const;

  std::string title_;
  std::string detail_;
  int64_t total_;
  int64_t done_ = 0;
  ProgressUnit unit_;
  bool terminal_;
  bool drawn_ = false;
  bool finished_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
};

/// "1.23 GB", "456 MB", "12 kB": decimal units.
std::string format_bytes(double bytes);
/// "3 s", "2 min 05 s", "1 h 02 min".
std::string format_duration(double seconds);

}  // namespace lathe
