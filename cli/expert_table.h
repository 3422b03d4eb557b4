#pragma once

#include <string>
#include <vector>

#include "lathe/job.h"

namespace lathe::cli {

/// How the calibration data was spread over the experts of one block.
struct ExpertLine {
  std::string path;
  int64_t experts = 0;
  int64_t least = 0, median = 0, most = 0;  // tokens an expert
  std::string unseen;                       // experts without a token: "3, 17"; "none"
  std::vector<int64_t> tokens;
};
std::vector<ExpertLine> expert_lines(const std::vector<QuantizeReport::Experts>& table);

/// A table for a person; "" for a model without experts.
std::string expert_text(const std::vector<QuantizeReport::Experts>& table);

/// The same as HTML, with the tokens of each expert as a strip of shades.
std::string expert_html(const std::vector<QuantizeReport::Experts>& table);

}  // namespace lathe::cli
