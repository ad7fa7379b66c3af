#include "k8sdns/dataplane/equivalence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/dataplane/rule_regions.h"
#include "k8sdns/dataplane/symbolic_rules.h"
#include "k8sdns/dataplane/symbolic_walk.h"

namespace k8sdns::dataplane {
namespace {

using netfilter::Hook;
using netfilter::Ruleset;
using netfilter::TableId;

constexpr PacketPath kPaths[] = {PacketPath::kForwarded, PacketPath::kDelivered,
                                 PacketPath::kSent, PacketPath::kLooped};
// Shares that differ by less are the same: iptables keeps 31 bits of them.
constexpr double kSameProbability = 1e-8;

absl::string_view PathName(PacketPath path) {
  static constexpr absl::string_view kNames[] = {"forwarded", "delivered",
                                                 "sent", "looped"};
  return kNames[static_cast<int>(path)];
}

// A fate that can be compared: what the mark is where its start is known is
// put in.
struct FateKey {
  Leaf::Verdict verdict;
  uint8_t with;
  PacketChanges changes;
  auto Tied() const {
    return std::tie(verdict, with, changes.mark.fixed, changes.mark.value,
                    changes.routed_mark.fixed, changes.routed_mark.value,
                    changes.destination, changes.source, changes.effects,
                    changes.untracked);
  }
  friend bool operator<(const FateKey& a, const FateKey& b) {
    return a.Tied() < b.Tied();
  }
};

MarkFunction Known(const MarkFunction& f, const Box& box) {
  MarkFunction out = f;
  const uint32_t found = box.mark_known & ~f.fixed;
  out.fixed |= found;
  out.value ^= box.mark_value & found;
  return out;
}

FateKey KeyOf(const Leaf& leaf, const Box& box) {
  FateKey key = {leaf.verdict, leaf.with, leaf.changes};
  if (leaf.verdict == Leaf::kAccept) {
    key.changes.mark = Known(leaf.changes.mark, box);
    key.changes.routed_mark = Known(leaf.changes.routed_mark, box);
  }
  return key;
}

class Comparison {
 public:
  Comparison(const Ruleset& a, const Ruleset& b,
             const EquivalenceOptions& options)
      : a_(a, a.strings(), interfaces_, ids_),
        b_(b, a.strings(), interfaces_, ids_),
        family_(a.family()),
        any_mark_(options.any_mark),
        budget_(options.max_splits) {
    names_.Text("");
    interfaces_.Collect(a);
    interfaces_.Collect(b);
    interfaces_.Close();
    result_.splits = options.max_splits;
  }

  absl::StatusOr<Equivalence> Run() {
    for (SymbolicRuleset* side : {&a_, &b_}) {
      absl::Status status = side->Classify();
      if (!status.ok()) return status;
    }
    Search();
    result_.splits -= budget_;
    if (result_.answer == Equivalence::kEquivalent && unknown_) {
      result_ = *std::move(unknown_);
      result_.answer = Equivalence::kUnknown;
    }
    return std::move(result_);
  }

 private:
  struct Task {
    PacketPath path;
    Box box;
  };

  // First packets that come to a difference as they are, then those that rules
  // before it may have led there.
  void Search() {
    std::vector<Task> first;
    std::vector<Task> later;
    for (PacketPath path : kPaths) Collect(path, first, later);
    for (const std::vector<Task>* tasks : {&first, &later}) {
      for (const Task& task : *tasks) {
        if (!CompareBox(task)) return;
      }
    }
  }

  Box Everything(PacketPath path) const {
    Box box;
    if (!any_mark_) box.mark_known = 0xffffffff;
    for (int f = 0; f < kHeaderFields; ++f) box.fields[f] = ValueSet::Of(0);
    for (int f = 0; f <= kFieldTcpFlags; ++f) {
      const auto field = static_cast<HeaderField>(f);
      if (f >= kFieldTranslated && f < kFieldProtocol) continue;
      box.fields[f] = ValueSet::Of(0, LastValue(field, family_));
    }
    const ValueSet lo = ValueSet::Of(InterfaceNames::kLoopback);
    const ValueSet others = interfaces_.All().Minus(lo);
    switch (path) {
      case PacketPath::kForwarded:
        box.fields[kFieldIn] = others;
        box.fields[kFieldOut] = others;
        break;
      case PacketPath::kDelivered:
        box.fields[kFieldIn] = others;
        break;
      case PacketPath::kSent:
        box.fields[kFieldOut] = interfaces_.All();
        box.fields[kFieldOutRerouted] = interfaces_.All();
        break;
      case PacketPath::kLooped:
        box.fields[kFieldIn] = lo;
        break;
    }
    return box;
  }

  // The boxes that come to the regions of a way's stages.
  void Collect(PacketPath path, std::vector<Task>& first,
               std::vector<Task>& later) {
    const Box all = Everything(path);
    bool behind_nat = false;
    bool nat_has_rules = false;
    for (const Stage& stage : StagesOf(path)) {
      if (stage.action != Stage::kTable) continue;
      std::vector<Box> regions;
      FindRegions(a_, b_, stage.table, stage.hook, all, regions);
      for (const Box& region : regions) {
        AddTasks(path, region, all, behind_nat, nat_has_rules, first, later);
      }
      if (stage.table == TableId::kNat && !behind_nat) {
        behind_nat = true;
        nat_has_rules = HasRules(a_, stage) || HasRules(b_, stage);
      }
    }
  }

  static bool HasRules(const SymbolicRuleset& side, const Stage& stage) {
    const netfilter::Table* table = side.table(stage.table);
    if (table == nullptr) return false;
    const auto chain = table->FindChain(stage.hook);
    return chain && table->rule_count(*chain) > 0;
  }

  void AddTasks(PacketPath path, const Box& region, const Box& all,
                bool behind_nat, bool nat_has_rules, std::vector<Task>& first,
                std::vector<Task>& later) const {
    // New flows, and what belongs to none.
    Box box = region;
    box.fields[kFieldState] = ValueSet::Of(kValueNew);
    if (path == PacketPath::kLooped) {
      Box translated = box;
      translated.fields[kFieldFlowNat] = ValueSet::Of(1, 3);
      first.push_back({path, std::move(translated)});
    }
    first.push_back({path, box});
    if (behind_nat && nat_has_rules) {
      for (HeaderField f : {kFieldDst, kFieldDstPort, kFieldDstType}) {
        box.fields[f] = all.fields[f];
      }
      later.push_back({path, std::move(box)});
    }
    box = region;
    box.fields[kFieldState] = ValueSet::Of(kValueInvalid);
    first.push_back({path, box});
    // Old flows, without and with a translation of their own.
    box = region;
    box.fields[kFieldState] = ValueSet::Of(kValueEstablished, kValueRelated);
    first.push_back({path, box});
    box.fields[kFieldFlowNat] = ValueSet::Of(1, 3);
    for (int f = 0; f < kFieldTranslated && path != PacketPath::kLooped; ++f) {
      box.fields[kFieldTranslated + f] = all.fields[f];
      if (behind_nat)
        std::swap(box.fields[f], box.fields[kFieldTranslated + f]);
    }
    first.push_back({path, std::move(box)});
  }

  // False: the search is over.
  bool CompareBox(const Task& task) {
    std::vector<Leaf> leaves[2];
    for (int side = 0; side < 2; ++side) {
      SymbolicWalk walk(side == 0 ? a_ : b_, names_, budget_);
      if (!walk.Run(task.box, task.path, false, leaves[side])) return Give();
    }
    std::vector<Piece> work(1);
    work[0].box = task.box;
    for (int side = 0; side < 2; ++side) {
      for (const Leaf& leaf : leaves[side]) {
        work[0].leaves[side].push_back(&leaf);
      }
    }
    while (!work.empty()) {
      if (budget_ == 0) return Give();
      --budget_;
      const Piece piece = std::move(work.back());
      work.pop_back();
      if (SplitByLeaf(piece, work) || SplitByMark(piece, work)) continue;
      if (!SameFates(piece) && !Different(task.path, piece.box)) return false;
    }
    return true;
  }

  bool Give() {
    result_.answer = Equivalence::kUndecided;
    result_.reason =
        absl::StrCat("the limit of splits (", result_.splits, ") was reached");
    return false;
  }

  // A box with the fates that meet it.
  struct Piece {
    Box box;
    std::vector<const Leaf*> leaves[2];
  };

  static void Add(const Piece& whole, Box box, std::vector<Piece>& work) {
    Piece piece;
    piece.box = std::move(box);
    for (int side = 0; side < 2; ++side) {
      for (const Leaf* leaf : whole.leaves[side]) {
        if (leaf->box.Intersects(piece.box)) {
          piece.leaves[side].push_back(leaf);
        }
      }
    }
    work.push_back(std::move(piece));
  }

  static void SplitByBit(const Piece& piece, uint32_t bit,
                         std::vector<Piece>& work) {
    for (uint32_t value : {uint32_t{0}, bit}) {
      Box half = piece.box;
      half.mark_known |= bit;
      half.mark_value |= value;
      Add(piece, std::move(half), work);
    }
  }

  // Whether a fate holds for only a part of the box, and it was split so.
  static bool SplitByLeaf(const Piece& piece, std::vector<Piece>& work) {
    const Box& box = piece.box;
    for (const auto& side : piece.leaves) {
      for (const Leaf* leaf : side) {
        for (int f = 0; f < kHeaderFields; ++f) {
          const ValueSet& part = leaf->box.fields[f];
          if (part.Contains(box.fields[f])) continue;
          Box inside = box;
          inside.fields[f] = box.fields[f].And(part);
          Box outside = box;
          outside.fields[f] = box.fields[f].Minus(part);
          Add(piece, std::move(inside), work);
          Add(piece, std::move(outside), work);
          return true;
        }
        const uint32_t bits = leaf->box.mark_known & ~box.mark_known;
        if (bits != 0) {
          SplitByBit(piece, bits & ~(bits - 1), work);
          return true;
        }
        for (const auto& [variable, value] : leaf->box.assumed) {
          (void)value;
          if (box.Assumption(variable) != nullptr) continue;
          for (bool assumed : {true, false}) {
            Box half = box;
            half.Assume(variable, assumed);
            Add(piece, std::move(half), work);
          }
          return true;
        }
      }
    }
    return false;
  }

  // Where some fates fix a bit of the mark and others leave it, what it was
  // decides whether they are the same.
  static bool SplitByMark(const Piece& piece, std::vector<Piece>& work) {
    uint32_t differ = 0;
    const PacketChanges* reference = nullptr;
    for (const auto& side : piece.leaves) {
      for (const Leaf* leaf : side) {
        if (leaf->verdict != Leaf::kAccept) continue;
        if (reference == nullptr) reference = &leaf->changes;
        differ |= leaf->changes.mark.fixed ^ reference->mark.fixed;
        differ |=
            leaf->changes.routed_mark.fixed ^ reference->routed_mark.fixed;
      }
    }
    differ &= ~piece.box.mark_known;
    if (differ == 0) return false;
    SplitByBit(piece, differ & ~(differ - 1), work);
    return true;
  }

  static bool SameFates(const Piece& piece) {
    std::map<FateKey, double> shares;
    for (int side = 0; side < 2; ++side) {
      for (const Leaf* leaf : piece.leaves[side]) {
        shares[KeyOf(*leaf, piece.box)] +=
            side == 0 ? leaf->probability : -leaf->probability;
      }
    }
    return std::all_of(shares.begin(), shares.end(), [](const auto& share) {
      return std::abs(share.second) < kSameProbability;
    });
  }

  // False: the search is over.
  bool Different(PacketPath path, const Box& box) {
    const std::string* unmodelled = nullptr;
    for (const auto& [variable, value] : box.assumed) {
      (void)value;
      if (!names_.IsFree(variable)) unmodelled = &names_.variable(variable);
    }
    if (unmodelled == nullptr) {
      result_.answer = Equivalence::kDifferent;
      Describe(path, box, result_);
      return false;
    }
    if (!unknown_) {
      unknown_.emplace();
      unknown_->splits = result_.splits;
      unknown_->reason = absl::StrCat(
          "they differ if this holds, or does not: ", Shown(*unmodelled));
      Describe(path, box, *unknown_);
    }
    return true;
  }

  // A variable's key without its circumstances.
  static std::string Shown(const std::string& key) {
    return key.substr(0, key.find(" @"));
  }

  static FieldValue Pick(const ValueSet& set,
                         std::initializer_list<FieldValue> liked) {
    for (FieldValue value : liked) {
      if (set.Contains(value)) return value;
    }
    return set.first();
  }
  FieldValue PickAddress(const ValueSet& set, uint32_t v4,
                         const char* v6) const {
    return Pick(set,
                {family_ == IpFamily::kIpv4 ? FieldValue(v4)
                                            : ToValue(*IpAddress::Parse(v6))});
  }

  // One packet of the box.
  Box PointOf(const Box& box) const {
    Box point = box;
    auto set = [&](HeaderField f, FieldValue value) {
      point.fields[f] = ValueSet::Of(value);
    };
    for (int base : {0, int{kFieldTranslated}}) {
      auto field = [&](HeaderField f) {
        return static_cast<HeaderField>(base + f);
      };
      set(field(kFieldSrc),
          PickAddress(box.fields[field(kFieldSrc)], 0xc0a80102, "fd00::1:2"));
      set(field(kFieldDst),
          PickAddress(box.fields[field(kFieldDst)], 0xc0a80203, "fd00::2:3"));
      set(field(kFieldSrcPort),
          Pick(box.fields[field(kFieldSrcPort)], {40000}));
      set(field(kFieldDstPort), Pick(box.fields[field(kFieldDstPort)], {80}));
      // UNICAST, LOCAL.
      set(field(kFieldSrcType), Pick(box.fields[field(kFieldSrcType)], {1, 2}));
      set(field(kFieldDstType), Pick(box.fields[field(kFieldDstType)], {1, 2}));
    }
    set(kFieldProtocol, Pick(box.fields[kFieldProtocol], {6, 17, 1}));
    set(kFieldIcmp, Pick(box.fields[kFieldIcmp], {8 << 8}));
    set(kFieldTcpFlags, Pick(box.fields[kFieldTcpFlags], {kTcpSyn}));
    for (HeaderField f : {kFieldIn, kFieldOut, kFieldFlowNat}) {
      set(f, box.fields[f].first());
    }
    set(kFieldOutRerouted,
        Pick(box.fields[kFieldOutRerouted], {box.fields[kFieldOut].first()}));
    set(kFieldState,
        Pick(box.fields[kFieldState], {kValueNew, kValueEstablished}));
    point.mark_known = 0xffffffff;
    return point;
  }

  Packet PacketOf(const Box& point, int base) const {
    auto value = [&](int field) { return point.fields[field].first(); };
    Packet p;
    p.src = ToAddress(value(base + kFieldSrc), family_);
    p.dst = ToAddress(value(base + kFieldDst), family_);
    p.protocol = static_cast<Protocol>(
        static_cast<uint8_t>(absl::Uint128Low64(value(kFieldProtocol))));
    if (p.HasPorts()) {
      p.src_port = static_cast<uint16_t>(value(base + kFieldSrcPort));
      p.dst_port = static_cast<uint16_t>(value(base + kFieldDstPort));
    }
    p.tcp_flags = static_cast<uint8_t>(value(kFieldTcpFlags));
    p.icmp_type = static_cast<uint8_t>(value(kFieldIcmp) >> 8);
    p.icmp_code = static_cast<uint8_t>(value(kFieldIcmp));
    return p;
  }

  void Describe(PacketPath path, const Box& box, Equivalence& out) {
    const Box point = PointOf(box);
    static constexpr const char* kStates[] = {"INVALID", "NEW", "ESTABLISHED",
                                              "RELATED"};
    static constexpr const char* kTypes[] = {
        "UNSPEC",   "UNICAST",   "LOCAL",     "BROADCAST",
        "ANYCAST",  "MULTICAST", "BLACKHOLE", "UNREACHABLE",
        "PROHIBIT", "THROW",     "NAT",       "XRESOLVE"};
    auto number = [&](int field) {
      return static_cast<size_t>(point.fields[field].first());
    };
    WitnessPacket& w = out.witness.emplace();
    w.path = std::string(PathName(path));
    w.packet = PacketOf(point, 0);
    w.in = interfaces_.name(number(kFieldIn));
    w.out = interfaces_.name(number(kFieldOut));
    w.rerouted_out = interfaces_.name(number(kFieldOutRerouted));
    w.mark = point.mark_value;
    w.state = kStates[number(kFieldState)];
    w.source_type = kTypes[number(kFieldSrcType)];
    w.destination_type = kTypes[number(kFieldDstType)];
    if (number(kFieldFlowNat) != 0 && path != PacketPath::kLooped) {
      w.translated = PacketOf(point, kFieldTranslated);
    }
    for (const auto& [variable, value] : point.assumed) {
      w.assumptions.push_back(absl::StrCat(Shown(names_.variable(variable)),
                                           value ? ": yes" : ": no"));
    }
    for (int side = 0; side < 2; ++side) {
      out.fates[side] = FatesOf(side, path, point);
    }
  }

  std::vector<Fate> FatesOf(int side, PacketPath path, const Box& point) {
    std::vector<Leaf> leaves;
    size_t budget = 100'000;
    SymbolicWalk walk(side == 0 ? a_ : b_, names_, budget);
    walk.Run(point, path, true, leaves);
    std::vector<Fate> fates;
    for (const Leaf& leaf : leaves) {
      std::string text = TextOf(leaf, point);
      auto same = std::find_if(fates.begin(), fates.end(),
                               [&](const Fate& f) { return f.text == text; });
      if (same != fates.end()) {
        same->probability += leaf.probability;
      } else {
        fates.push_back({leaf.probability, std::move(text), leaf.trace});
      }
    }
    std::sort(fates.begin(), fates.end(),
              [](const Fate& x, const Fate& y) { return x.text < y.text; });
    return fates;
  }

  std::string TextOf(const Leaf& leaf, const Box& point) const {
    std::string out;
    switch (leaf.verdict) {
      case Leaf::kAccept:
        out = "accepted";
        break;
      case Leaf::kDrop:
        out = "dropped";
        break;
      case Leaf::kReject:
        out = absl::StrCat("rejected (", int{leaf.with}, ")");
        break;
    }
    const PacketChanges& c = leaf.changes;
    for (uint32_t id : {c.destination, c.source, c.effects}) {
      if (id == 0) continue;
      std::string text = names_.text(id);
      while (!text.empty() && text.back() == '\n') text.pop_back();
      std::replace(text.begin(), text.end(), '\n', ';');
      absl::StrAppend(&out, ", ", text);
    }
    if (c.untracked) absl::StrAppend(&out, ", untracked");
    if (leaf.verdict == Leaf::kAccept) {
      const MarkFunction mark = Known(c.mark, point);
      absl::StrAppendFormat(&out, ", mark 0x%x", mark.value & mark.fixed);
    }
    return out;
  }

  InterfaceNames interfaces_;
  SymbolicRuleset::ClassIds ids_;
  SymbolNames names_;
  SymbolicRuleset a_;
  SymbolicRuleset b_;
  const IpFamily family_;
  const bool any_mark_;
  size_t budget_;
  Equivalence result_;
  std::optional<Equivalence> unknown_;
};

}  // namespace

absl::string_view EquivalenceName(Equivalence::Answer answer) {
  switch (answer) {
    case Equivalence::kEquivalent:
      return "equivalent";
    case Equivalence::kDifferent:
      return "different";
    case Equivalence::kUnknown:
      return "unknown";
    case Equivalence::kUndecided:
      return "undecided";
  }
  return "";
}

std::string WitnessPacket::ToString() const {
  std::string text = absl::StrCat(packet.ToString(), ", ", path);
  if (!in.empty()) absl::StrAppend(&text, ", in by ", in);
  if (!out.empty()) absl::StrAppend(&text, ", out by ", out);
  if (!rerouted_out.empty() && rerouted_out != out) {
    absl::StrAppend(&text, " (after a change of route by ", rerouted_out, ")");
  }
  if (mark != 0) absl::StrAppendFormat(&text, ", mark 0x%x", mark);
  absl::StrAppend(&text, ", state ", state);
  if (translated) {
    absl::StrAppend(&text, ", translated by conntrack to ",
                    translated->ToString());
  }
  absl::StrAppend(&text, ", source ", source_type, ", destination ",
                  destination_type);
  for (const std::string& a : assumptions) absl::StrAppend(&text, "\n    ", a);
  return text;
}

std::string Equivalence::ToString() const {
  std::string out(EquivalenceName(answer));
  if (!reason.empty()) absl::StrAppend(&out, ": ", reason);
  absl::StrAppend(&out, "\n");
  if (!witness) return out;
  absl::StrAppend(&out, "  ", witness->ToString(), "\n");
  for (int side = 0; side < 2; ++side) {
    for (const Fate& fate : fates[side]) {
      absl::StrAppendFormat(&out, "  %s: %.6g %s\n", side == 0 ? "A" : "B",
                            fate.probability, fate.text);
      for (const std::string& line : fate.trace) {
        absl::StrAppend(&out, "       ", line, "\n");
      }
    }
  }
  return out;
}

absl::StatusOr<Equivalence> CompareFates(const Ruleset& a, const Ruleset& b,
                                         const EquivalenceOptions& options) {
  if (a.family() != b.family()) {
    return absl::InvalidArgumentError(
        "the rule sets are of different families");
  }
  return Comparison(a, b, options).Run();
}

}  // namespace k8sdns::dataplane
