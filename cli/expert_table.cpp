#include "cli/expert_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/html_text.h"
#include "cli/text_table.h"

namespace lathe::cli {
namespace {

constexpr size_t kMostNames = 12;

std::string unseen_text(const std::vector<int64_t>& tokens) {
  std::string text;
  size_t count = 0;
  for (size_t expert = 0; expert < tokens.size(); ++expert) {
    if (tokens[expert] != 0 || ++count > kMostNames) continue;
    text += fmt::format("{}{}", text.empty() ? "" : ", ", expert);
  }
  if (count == 0) return "none";
  return count > kMostNames ? fmt::format("{} and {} more", text, count - kMostNames) : text;
}

/// A cell for each expert, darker the more tokens it saw.
std::string strip(const std::vector<int64_t>& tokens, int64_t most) {
  std::string cells;
  for (size_t expert = 0; expert < tokens.size(); ++expert) {
    const double share =
        most > 0 ? static_cast<double>(tokens[expert]) / static_cast<double>(most) : 0;
    cells += fmt::format(
        "<span title=\"expert {}: {} tokens\" style=\"display:inline-block;width:4px;height:14px;"
        "background:currentColor;opacity:{:.2f}\"></span>",
        expert, tokens[expert], 0.05 + 0.95 * share);
  }
  return cells;
}

}  // namespace

std::vector<ExpertLine> expert_lines(const std::vector<QuantizeReport::Experts>& table) {
  std::vector<ExpertLine> lines;
  for (const QuantizeReport::Experts& block : table) {
    if (block.tokens.empty()) continue;
    std::vector<int64_t> sorted = block.tokens;
    std::sort(sorted.begin(), sorted.end());
    lines.push_back({.path = block.path,
                     .experts = static_cast<int64_t>(sorted.size()),
                     .least = sorted.front(),
                     .median = sorted[sorted.size() / 2],
                     .most = sorted.back(),
                     .unseen = unseen_text(block.tokens),
                     .tokens = block.tokens});
  }
  return lines;
}

std::string expert_text(const std::vector<QuantizeReport::Experts>& table) {
  if (table.empty()) return "";
  TextTable text({{"tokens by expert"},
                  {"experts", Align::kRight},
                  {"least", Align::kRight},
                  {"median", Align::kRight},
                  {"most", Align::kRight},
                  {"without a token"}});
  for (const ExpertLine& line : expert_lines(table)) {
    text.add_row({line.path, fmt::format("{}", line.experts), fmt::format("{}", line.least),
                  fmt::format("{}", line.median), fmt::format("{}", line.most), line.unseen});
  }
  return "\n" + text.text();
}

std::string expert_html(const std::vector<QuantizeReport::Experts>& table) {
  if (table.empty()) return "";
  std::string text =
      "<h2>Tokens by expert</h2>\n<div class=\"panel\"><table>\n<tr><th>experts</th><th "
      "class=\"n\">least</th><th class=\"n\">median</th><th class=\"n\">most</th><th>without a "
      "token</th><th></th></tr>\n";
  for (const ExpertLine& line : expert_lines(table)) {
    text += fmt::format(
        "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td>{}</td><td>{}</td></tr>\n",
        html_escape(line.path), line.least, line.median, line.most, line.unseen,
        strip(line.tokens, line.most));
  }
  return text + "</table></div>\n";
}

}  // namespace lathe::cli
