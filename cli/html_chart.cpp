#include "cli/html_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/html_text.h"

namespace lathe::cli {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 280;
constexpr double kLeft = 50;
constexpr double kRight = 10;
constexpr double kTop = 12;
constexpr double kBottom = 26;
constexpr size_t kMaxBars = 420;      // two units wide
constexpr size_t kMaxColours = 8;     // of the style's --s0 ... --s7
constexpr double kTickDistance = 34;  // between labels below the axis, at least
constexpr int kGridLines = 5;         // about

/// Largest of each run of neighbours, so that no bar is thinner than can be seen.
std::vector<Bar> thin_out(const std::vector<Bar>& bars) {
  if (bars.size() <= kMaxBars) return bars;
  const size_t run = (bars.size() + kMaxBars - 1) / kMaxBars;
  std::vector<Bar> kept;
  for (size_t begin = 0; begin < bars.size(); begin += run) {
    const auto first = bars.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last =
        bars.begin() + static_cast<std::ptrdiff_t>(std::min(begin + run, bars.size()));
    kept.push_back(*std::max_element(first, last,
                                     [](const Bar& a, const Bar& b) { return a.value < b.value; }));
  }
  return kept;
}

/// 1, 2 or 5 times a power of ten: about kGridLines of it up to `maximum`.
double grid_step(double maximum) {
  const double rough = maximum / kGridLines;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

std::vector<std::string> series_of(const std::vector<Bar>& bars) {
  std::vector<std::string> series;
  for (const auto& bar : bars) {
    if (std::find(series.begin(), series.end(), bar.series) == series.end())
      series.push_back(bar.series);
  }
  return series;
}

size_t colour_of(const std::vector<std::string>& series, const std::string& name) {
  const auto found = std::find(series.begin(), series.end(), name) - series.begin();
  return std::min(static_cast<size_t>(found), kMaxColours - 1);
}

std::string legend(const std::vector<std::string>& series) {
  std::string text = "<div class=\"legend\">";
  const bool rest = series.size() > kMaxColours;
  const size_t own = rest ? kMaxColours - 1 : series.size();
  for (size_t i = 0; i < own; ++i) {
    text += fmt::format("<span><i style=\"background:var(--s{})\"></i>{}</span>", i,
                        html_escape(series[i]));
  }
  if (rest) text += fmt::format("<span><i style=\"background:var(--s{})\"></i>others</span>", own);
  return text + "</div>\n";
}

/// Places of the chart's values on the drawing.
struct Scale {
  double maximum;
  double step;  // of a bar
  double y(double value) const { return kTop + (kHeight - kTop - kBottom) * (1 - value / maximum); }
  double x(size_t index) const { return kLeft + step * static_cast<double>(index); }
};

std::string grid(const Scale& scale, double distance) {
  std::string text;
  const int lines = static_cast<int>(std::lround(scale.maximum / distance));
  for (int i = 0; i <= lines; ++i) {
    const double value = i * distance;
    const double y = scale.y(value);
    text += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"var(--line)\"/>", kLeft,
        kWidth - kRight, y, y);
    text += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g} %</text>\n",
                        kLeft - 6, y + 4, 100 * value);
  }
  return text;
}

std::string drawn_bars(const std::vector<Bar>& bars, const std::vector<std::string>& series,
                       const Scale& scale) {
  std::string text;
  const double width = std::max(scale.step * 0.8, 1.0);
  for (size_t i = 0; i < bars.size(); ++i) {
    if (!std::isfinite(bars[i].value)) continue;
    const double y = scale.y(bars[i].value);
    text += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" "
        "fill=\"var(--s{})\"><title>{}</title></rect>\n",
        scale.x(i), y, width, scale.y(0) - y, colour_of(series, bars[i].series),
        html_escape(bars[i].label));
  }
  return text;
}

std::string ticks(const std::vector<Bar>& bars, const Scale& scale) {
  std::string text;
  double last = -kTickDistance;
  for (size_t i = 0; i < bars.size(); ++i) {
    if (bars[i].tick.empty() || (i > 0 && bars[i].tick == bars[i - 1].tick)) continue;
    if (scale.x(i) - last < kTickDistance) continue;
    last = scale.x(i);
    text += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>\n", last, kHeight - 8,
                        html_escape(bars[i].tick));
  }
  return text;
}

}  // namespace

std::string percent_bar_chart(const std::vector<Bar>& all_bars) {
  const auto bars = thin_out(all_bars);
  double largest = 0;
  for (const auto& bar : bars) {
    if (std::isfinite(bar.value)) largest = std::max(largest, bar.value);
  }
  if (largest <= 0) largest = 1e-6;
  const double distance = grid_step(largest);
  const Scale scale{
      .maximum = std::ceil(largest / distance) * distance,
      .step = (kWidth - kLeft - kRight) / static_cast<double>(std::max<size_t>(bars.size(), 1))};
  const auto series = series_of(bars);
  return legend(series) +
         fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bar chart\">\n", kWidth,
                     kHeight) +
         grid(scale, distance) + drawn_bars(bars, series, scale) + ticks(bars, scale) + "</svg>\n";
}

}  // namespace lathe::cli
