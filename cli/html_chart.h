#pragma once

#include <string>
#include <vector>

namespace lathe::cli {

/// One bar of a chart.
struct Bar {
  std::string label;   // shown while the pointer is on it
  std::string tick;    // below the axis where it changes from bar to bar; "" for none
  std::string series;  // bars of one series have one colour
  double value = 0;    // not negative; bars that are not finite are left out
};

/// A bar chart as inline SVG with its legend; the axis is in percent. More bars than fit are drawn
/// as the largest of each run of neighbours.
std::string percent_bar_chart(const std::vector<Bar>& bars);

}  // namespace lathe::cli
