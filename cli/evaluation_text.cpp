#include "cli/evaluation_text.h"

#include <fmt/format.h>

#include "cli/value_text.h"

namespace lathe::cli {
namespace {

std::string divergence_text(const Evaluation::Divergence& divergence) {
  return fmt::format(
      "reference perplexity  {:.4f}\n"
      "KL divergence         {} nats a token (median {:.2g}, 99 % {:.2g}, max {:.2g})\n"
      "same next token       {:.1f} %\n",
      divergence.reference_perplexity, measured_text(divergence.mean, divergence.error),
      divergence.median, divergence.percentile_99, divergence.maximum, 100 * divergence.same_top);
}

}  // namespace

std::string evaluation_text(const Evaluation& evaluation) {
  std::string text = fmt::format("perplexity            {} ({} tokens, {})\n",
                                 measured_text(evaluation.perplexity, evaluation.perplexity_error),
                                 evaluation.tokens, duration_text(evaluation.seconds));
  if (evaluation.divergence) text += divergence_text(*evaluation.divergence);
  return text;
}

}  // namespace lathe::cli
