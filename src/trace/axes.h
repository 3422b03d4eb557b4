#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::trace {

/// A dimension's identity: equal ids, after tying, change together.
using AxisId = uint32_t;

/// The dimensions of tensors, and what is known of them. An axis is an atom, whose units can be
/// taken away one by one; a product of axes, as of [H, D] that became [H * D] (row-major); or a
/// sum, as of [M] and [N] that became [M + N]. Tying two axes refines them until their atoms are
/// the same ones.
class AxisTable {
 public:
  enum class Kind { kAtom, kProduct, kSum };

  /// An atom that nothing holds yet. One of size 1 or 0 is fixed.
  AxisId fresh(int64_t size);
  /// An atom that cannot change.
  AxisId constant(int64_t size);
  AxisId product(const std::vector<AxisId>& factors);
  AxisId sum(const std::vector<AxisId>& terms);

  int64_t size(AxisId axis) const { return axes_[find(axis)].size; }
  Kind kind(AxisId axis) const { return axes_[find(axis)].kind; }
  /// Factors of a product, terms of a sum.
  const std::vector<AxisId>& parts(AxisId axis) const { return axes_[find(axis)].parts; }
  AxisId find(AxisId axis) const;

  /// Makes two axes one. If they do not fit, both are fixed and it is false.
  bool tie(AxisId a, AxisId b);
  /// All atoms of an axis can no longer change. The first reason stays.
  void fix(AxisId axis, std::string_view reason);
  bool is_fixed(AxisId atom) const { return axes_[find(atom)].fixed; }
  const std::string& reason(AxisId atom) const { return axes_[find(atom)].reason; }

  /// Splits an axis into factors, or terms, of the given sizes; if it cannot be split so, it is
  /// fixed and the parts are constants.
  std::vector<AxisId> split_product(AxisId axis, const std::vector<int64_t>& sizes);
  std::vector<AxisId> split_sum(AxisId axis, const std::vector<int64_t>& sizes);

  /// The axes of a tensor whose elements, in order, get other sizes.
  std::vector<AxisId> reshape(const std::vector<AxisId>& from, const std::vector<int64_t>& sizes);

  /// What an atom is ("heads"); the first name stays.
  void name(AxisId axis, std::string_view role);
  const std::string& role(AxisId atom) const { return axes_[find(atom)].role; }

  /// The different atoms of an axis, in order.
  std::vector<AxisId> atoms(AxisId axis) const;
  /// The positions along `axis` that belong to one unit of an atom.
  std::vector<int64_t> positions(AxisId axis, AxisId atom, int64_t unit) const;
  size_t count() const { return axes_.size(); }

 private:
  struct Axis {
    int64_t size = 0;
    Kind kind = Kind::kAtom;
    std::vector<AxisId> parts = {};
    AxisId link = 0;
    bool fixed = false;
    std::string reason = {};
    std::string role = {};
  };

  AxisId add(Axis axis);
  void refine(AxisId atom, Kind kind, std::vector<AxisId> parts);
  bool tie_parts(AxisId a, AxisId b);
  bool misfit(AxisId a, AxisId b);
  bool contains(AxisId axis, AxisId atom) const;
  void append_factors(AxisId axis, std::vector<AxisId>& factors) const;

  mutable std::vector<Axis> axes_;
};

}  // namespace lathe::trace
