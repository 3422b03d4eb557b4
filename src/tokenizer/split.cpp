#include "tokenizer/split.h"

#include <algorithm>

namespace lathe::tokenizer {

SplitBehavior read_split_behavior(const JsonObject& object, const std::string& name) {
  const std::string behavior = object.string(name);
  if (behavior == "Removed") return SplitBehavior::kRemoved;
  if (behavior == "Isolated") return SplitBehavior::kIsolated;
  if (behavior == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (behavior == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (behavior == "Contiguous") return SplitBehavior::kContiguous;
  object.fail("the " + name + " \"" + behavior + "\" is not supported");
}

namespace {

/// Joins a segment to the one before it where joins(is_match, previous_is_match).
template <typename Joins>
void join_segments(std::vector<Segment>& segments, const Joins& joins) {
  std::vector<Segment> result;
  bool previous = false;
  for (const Segment& segment : segments) {
    if (joins(segment.is_match, previous) && !result.empty()) {
      result.back().begin = std::min(result.back().begin, segment.begin);
      result.back().end = std::max(result.back().end, segment.end);
    } else {
      result.push_back(segment);
    }
    previous = segment.is_match;
  }
  segments = std::move(result);
}

}  // namespace

void apply_behavior(SplitBehavior behavior, std::vector<Segment>& segments) {
  const auto starts_run = [](bool is_match, bool previous) { return is_match && !previous; };
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(segments, [](const Segment& segment) { return segment.is_match; });
      return;
    case SplitBehavior::kContiguous:
      return join_segments(segments,
                           [](bool is_match, bool previous) { return is_match == previous; });
    case SplitBehavior::kMergedWithPrevious:
      return join_segments(segments, starts_run);
    case SplitBehavior::kMergedWithNext:
      std::reverse(segments.begin(), segments.end());
      join_segments(segments, starts_run);
      std::reverse(segments.begin(), segments.end());
      return;
  }
}

}  // namespace lathe::tokenizer
