#include "trace/axes.h"

#include <algorithm>

namespace lathe::trace {

AxisId AxisTable::add(Axis axis) {
  axis.link = static_cast<AxisId>(axes_.size());
  axes_.push_back(std::move(axis));
  return axes_.back().link;
}

AxisId AxisTable::fresh(int64_t size) { return add({.size = size, .fixed = size <= 1}); }

AxisId AxisTable::constant(int64_t size) { return add({.size = size, .fixed = true}); }

AxisId AxisTable::find(AxisId axis) const {
  while (axes_[axis].link != axis) {
    axes_[axis].link = axes_[axes_[axis].link].link;
    axis = axes_[axis].link;
  }
  return axis;
}

AxisId AxisTable::product(const std::vector<AxisId>& factors) {
  std::vector<AxisId> parts;
  for (const AxisId factor : factors) append_factors(factor, parts);
  if (parts.empty()) return constant(1);
  if (parts.size() == 1) return parts[0];
  int64_t size = 1;
  for (const AxisId part : parts) size *= this->size(part);
  return add({.size = size, .kind = Kind::kProduct, .parts = std::move(parts)});
}

AxisId AxisTable::sum(const std::vector<AxisId>& terms) {
  std::vector<AxisId> parts;
  int64_t size = 0;
  for (const AxisId term : terms) {
    if (this->size(term) == 0) continue;
    parts.push_back(term);
    size += this->size(term);
  }
  if (parts.size() == 1) return parts[0];
  return add({.size = size, .kind = Kind::kSum, .parts = std::move(parts)});
}

/// Factors of an axis, flat; those of size 1 say nothing.
void AxisTable::append_factors(AxisId axis, std::vector<AxisId>& factors) const {
  const Axis& found = axes_[find(axis)];
  if (found.kind == Kind::kProduct) {
    for (const AxisId part : found.parts) append_factors(part, factors);
  } else if (found.size != 1) {
    factors.push_back(find(axis));
  }
}

void AxisTable::fix(AxisId axis, std::string_view reason) {
  std::vector<AxisId> open = {find(axis)};
  while (!open.empty()) {
    Axis& next = axes_[open.back()];
    open.pop_back();
    if (next.kind == Kind::kAtom) {
      if (next.fixed) continue;
      next.fixed = true;
      next.reason = reason;
    } else {
      for (const AxisId part : next.parts) open.push_back(find(part));
    }
  }
}

void AxisTable::name(AxisId axis, std::string_view role) {
  Axis& found = axes_[find(axis)];
  if (found.kind == Kind::kAtom && found.role.empty()) found.role = role;
}

void AxisTable::refine(AxisId atom, Kind kind, std::vector<AxisId> parts) {
  const AxisId root = find(atom);
  if (axes_[root].fixed) {
    for (const AxisId part : parts) fix(part, axes_[root].reason);
  }
  axes_[root].kind = kind;
  axes_[root].parts = std::move(parts);
}

bool AxisTable::contains(AxisId axis, AxisId atom) const {
  const AxisId root = find(axis);
  if (root == find(atom)) return true;
  for (const AxisId part : axes_[root].parts) {
    if (contains(part, atom)) return true;
  }
  return false;
}

bool AxisTable::misfit(AxisId a, AxisId b) {
  fix(a, "two tensors that must fit each other are put together differently");
  fix(b, "two tensors that must fit each other are put together differently");
  return false;
}

bool AxisTable::tie(AxisId a, AxisId b) {
  a = find(a);
  b = find(b);
  if (a == b) return true;
  if (axes_[a].size != axes_[b].size) return misfit(a, b);
  if (axes_[b].kind == Kind::kAtom && axes_[a].kind != Kind::kAtom) std::swap(a, b);
  if (axes_[a].kind != Kind::kAtom) return tie_parts(a, b);
  // An atom becomes the other axis, unless the other is made of it.
  if (axes_[b].kind != Kind::kAtom && contains(b, a)) return misfit(a, b);
  if (axes_[a].fixed) fix(b, axes_[a].reason);
  if (axes_[b].fixed && axes_[b].kind == Kind::kAtom && !axes_[a].reason.empty() &&
      axes_[b].reason.empty()) {
    axes_[b].reason = axes_[a].reason;
  }
  name(b, axes_[a].role);
  axes_[a].link = b;
  return true;
}

/// Two products or two sums: their parts are cut until they have the same sizes.
bool AxisTable::tie_parts(AxisId a, AxisId b) {
  const Kind kind = axes_[a].kind;
  if (kind != axes_[b].kind) return misfit(a, b);
  std::vector<AxisId> first, second;
  if (kind == Kind::kProduct) {
    append_factors(a, first);
    append_factors(b, second);
  } else {
    first = axes_[a].parts;
    second = axes_[b].parts;
  }
  std::reverse(first.begin(), first.end());
  std::reverse(second.begin(), second.end());
  bool fits = true;
  while (!first.empty() && !second.empty()) {
    std::vector<AxisId>& larger = size(first.back()) >= size(second.back()) ? first : second;
    std::vector<AxisId>& smaller = &larger == &first ? second : first;
    const AxisId whole = larger.back();
    const AxisId part = smaller.back();
    larger.pop_back();
    smaller.pop_back();
    if (size(whole) == size(part)) {
      fits &= tie(whole, part);
      continue;
    }
    if (kind == Kind::kProduct && size(whole) % size(part) != 0) return misfit(a, b);
    const std::vector<AxisId> cut =
        kind == Kind::kProduct ? split_product(whole, {size(part), size(whole) / size(part)})
                               : split_sum(whole, {size(part), size(whole) - size(part)});
    fits &= tie(cut[0], part);
    larger.push_back(cut[1]);
  }
  if (!fits) return misfit(a, b);
  if (find(a) != find(b)) axes_[find(a)].link = find(b);
  return true;
}

std::vector<AxisId> AxisTable::split_product(AxisId axis, const std::vector<int64_t>& sizes) {
  return reshape({axis}, sizes);
}

std::vector<AxisId> AxisTable::split_sum(AxisId axis, const std::vector<int64_t>& sizes) {
  std::vector<AxisId> parts;
  for (const int64_t size : sizes) parts.push_back(fresh(size));
  if (parts.size() == 1) {
    tie(axis, parts[0]);
    return parts;
  }
  const AxisId root = find(axis);
  if (axes_[root].kind == Kind::kAtom) {
    std::vector<AxisId> terms;
    for (const AxisId part : parts) {
      if (size(part) > 0) terms.push_back(part);
    }
    refine(root, Kind::kSum, std::move(terms));
    return parts;
  }
  tie(root, sum(parts));
  return parts;
}

std::vector<AxisId> AxisTable::reshape(const std::vector<AxisId>& from,
                                       const std::vector<int64_t>& sizes) {
  std::vector<AxisId> factors;
  for (const AxisId axis : from) append_factors(axis, factors);
  std::reverse(factors.begin(), factors.end());
  std::vector<AxisId> result;
  const auto give_up = [&] {
    for (const AxisId axis : from) fix(axis, "a reshape cuts through it");
    result.clear();
    for (const int64_t size : sizes) result.push_back(constant(size));
    return result;
  };
  for (const int64_t wanted : sizes) {
    std::vector<AxisId> own;
    int64_t left = wanted;
    while (left > 1) {
      if (factors.empty()) return give_up();
      const AxisId factor = find(factors.back());
      const int64_t size = axes_[factor].size;
      factors.pop_back();
      if (left % size == 0 && size > 0) {
        own.push_back(factor);
        left /= size;
      } else if (size % left == 0 && axes_[factor].kind == Kind::kAtom) {
        const AxisId outer = fresh(left);
        const AxisId inner = fresh(size / left);
        refine(factor, Kind::kProduct, {outer, inner});
        own.push_back(outer);
        factors.push_back(inner);
        left = 1;
      } else {
        return give_up();
      }
    }
    result.push_back(left == 0 ? constant(0) : product(own));
  }
  return factors.empty() ? result : give_up();
}

std::vector<AxisId> AxisTable::atoms(AxisId axis) const {
  std::vector<AxisId> found;
  const auto collect = [&](const auto& self, AxisId next) -> void {
    const AxisId root = find(next);
    if (axes_[root].kind == Kind::kAtom) {
      if (std::find(found.begin(), found.end(), root) == found.end()) found.push_back(root);
      return;
    }
    for (const AxisId part : axes_[root].parts) self(self, part);
  };
  collect(collect, axis);
  return found;
}

std::vector<int64_t> AxisTable::positions(AxisId axis, AxisId atom, int64_t unit) const {
  std::vector<int64_t> positions;
  const AxisId root = find(axis);
  const Axis& found = axes_[root];
  if (found.kind == Kind::kAtom) {
    for (int64_t i = 0; i < found.size; ++i) {
      if (root == find(atom) && i == unit) positions.push_back(i);
    }
    return positions;
  }
  if (found.kind == Kind::kSum) {
    int64_t offset = 0;
    for (const AxisId part : found.parts) {
      for (const int64_t position : this->positions(part, atom, unit))
        positions.push_back(offset + position);
      offset += size(part);
    }
    return positions;
  }
  int64_t inner = found.size;
  for (const AxisId part : found.parts) {
    inner /= size(part);
    const int64_t outer = found.size / (inner * size(part));
    for (const int64_t position : this->positions(part, atom, unit)) {
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t i = 0; i < inner; ++i)
          positions.push_back((o * size(part) + position) * inner + i);
      }
    }
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  return positions;
}

}  // namespace lathe::trace
