#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/model_impl.h"
#include "lathe/job.h"

namespace lathe::api {

/// What a process needs before it has done anything: LibTorch and buffers.
inline constexpr int64_t kBaseMemory = 150'000'000;

/// What all jobs begin with: the model with its quantizers, and what stands in the way, in
/// summary.problems.
class JobDraft {
 public:
  /// Opens the model. Throws only if it, or the options, cannot be read at all.
  explicit JobDraft(const QuantizeJob& job);

  const QuantizeJob& job;
  Model model;
  QuantizePlan summary;

  Model::Impl& impl() { return model.impl(); }
  /// A program of torch.export becomes a program; anything else a checkpoint.
  bool is_program() const { return model.impl().program != nullptr; }

  /// Puts the quantizers into the model.
  void convert();

  /// Whether calibration data must be read: the quantizers need it and --calib names it. Says what
  /// is missing or not used. `kinds`: what --calib takes.
  bool wants_calibration(const std::string& kinds);

  void add_problem(std::string problem) { summary.problems.push_back(std::move(problem)); }
  /// An Error of the function becomes a problem.
  template <typename Function>
  void collect_problem(const Function& function) {
    try {
      function();
    } catch (const Error& error) {
      take_error(error);
    }
  }

  /// The last step: groups, and whether all problems are those of bad files.
  void finish();

 private:
  void take_error(const Error& error);
  void check_device();
  void list_groups();

  size_t data_problems_ = 0;
};

}  // namespace lathe::api
