#include "tests/conformance/replay_kernel.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "k8sdns/dataplane/matcher.h"
#include "tests/conformance/kernel_case.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using dataplane::Arrival;
using dataplane::Branch;
using dataplane::NodeDataplane;
using dataplane::NodeState;
using dataplane::Outcome;
using dataplane::Verdict;

// Draws split the world; more states than this are thinned out.
constexpr size_t kMaxWorlds = 32;
// So many whole sequences are told apart.
constexpr size_t kMaxBranches = 64;
constexpr int64_t kPacketTime = 2'000;  // microseconds

// One possible past of the node.
struct World {
  NodeState state;
  double weight = 1;
  std::vector<YamlValue> records;  // of the packets of a sequence
};

// One possible outcome of a packet and what was sent after it.
struct Path {
  NodeState state;
  double probability = 1;
  YamlValue record;
  Outcome outcome;
  bool answered = false;
};

class CaseReplay {
 public:
  explicit CaseReplay(const KernelCase& input)
      : input_(input),
        node_(input.node,
              input.family == IpFamily::kIpv4 ? NewMatcher() : nullptr,
              input.family == IpFamily::kIpv6 ? NewMatcher() : nullptr,
              input.sets) {
    if (input.ipvs) node_.LoadIpvs(*input.ipvs);
    worlds_.push_back({node_.state(), 1, {}});
  }

  YamlValue Run() {
    YamlValue probes = YamlValue::List();
    for (const YamlValue& probe : input_.probes.items()) {
      YamlValue out = YamlValue::Map();
      out.Set("id", probe["id"].str());
      out.Set("outcomes", RunProbe(probe));
      probes.Add(std::move(out));
    }
    YamlValue document = YamlValue::Map();
    document.Set("probes", std::move(probes));
    return document;
  }

 private:
  std::shared_ptr<const dataplane::RuleMatcher> NewMatcher() const {
    return std::make_shared<dataplane::Matcher>(input_.rules);
  }

  void Prepare(const std::string& what) {
    if (what == "nothing") return;
    for (World& world : worlds_) {
      if (what == "reload") {
        NodeDataplane fresh = node_;
        fresh.ReloadRules(input_.sets);
        const int64_t now = world.state.now_us;
        world.state = fresh.state();
        world.state.now_us = now;
      }
      world.state.conntrack.Flush();
    }
    Merge();
  }

  YamlValue RunProbe(const YamlValue& probe) {
    const int repeat = static_cast<int>(probe["repeat"].AsInt(1));
    const bool sequence = probe["sequence"].AsBool(false);
    auto what = [&](const char* key) {
      return probe.Has(key) ? probe[key].str() : std::string("flush");
    };
    Prepare(what("before"));
    std::map<std::string, std::pair<YamlValue, double>> counted;
    bool all_branches = true;
    for (World& world : worlds_) world.records.clear();
    for (int n = 0; n < repeat; ++n) {
      if (n > 0) {
        const double pause = probe["pause"].AsDouble(0);
        for (World& world : worlds_) {
          world.state.now_us += static_cast<int64_t>(pause * 1e6);
        }
        PrepareBetween(what("between"), sequence);
      }
      std::vector<World> next;
      for (const World& world : worlds_) {
        for (Path& path : RunPacket(probe, n, world.state)) {
          World after{std::move(path.state), world.weight * path.probability,
                      world.records};
          if (sequence) {
            after.records.push_back(path.record);
          } else {
            auto& [record, probability] = counted[path.record.ToYaml()];
            record = path.record;
            probability += after.weight / repeat;
          }
          next.push_back(std::move(after));
        }
      }
      worlds_ = std::move(next);
      if (!sequence) Merge();
      if (worlds_.size() > (sequence ? kMaxBranches : kMaxWorlds)) {
        Thin(sequence ? kMaxBranches : kMaxWorlds);
        all_branches = false;
      }
    }
    YamlValue outcomes =
        sequence ? Sequence(repeat, all_branches) : Counted(counted);
    for (World& world : worlds_) world.records.clear();
    Merge();
    return outcomes;
  }

  void PrepareBetween(const std::string& what, bool sequence) {
    if (what == "nothing") return;
    for (World& world : worlds_) world.state.conntrack.Flush();
    if (!sequence) Merge();
  }

  static YamlValue Counted(
      const std::map<std::string, std::pair<YamlValue, double>>& counted) {
    YamlValue outcomes = YamlValue::List();
    for (const auto& [text, entry] : counted) {
      YamlValue outcome = entry.first;
      if (counted.size() > 1) {
        outcome.Set("probability",
                    YamlValue::Plain(absl::StrFormat("%.9g", entry.second)));
      }
      outcomes.Add(std::move(outcome));
    }
    return outcomes;
  }

  YamlValue Sequence(int repeat, bool all_branches) const {
    YamlValue outcomes = YamlValue::List();
    for (int n = 0; n < repeat; ++n) {
      std::map<std::string, bool> seen;
      for (size_t b = 0; b < worlds_.size(); ++b) {
        YamlValue outcome = worlds_[b].records[n];
        outcome.Set("nth", n + 1);
        if (all_branches && worlds_.size() > 1) {
          outcome.Set("branch", absl::StrCat("b", b));
        } else if (!seen.emplace(outcome.ToYaml(), true).second) {
          continue;
        }
        outcomes.Add(std::move(outcome));
      }
    }
    return outcomes;
  }

  void Merge() {
    std::vector<World> merged;
    for (World& world : worlds_) {
      auto same = std::find_if(
          merged.begin(), merged.end(),
          [&](const World& other) { return other.state == world.state; });
      if (same != merged.end()) {
        same->weight += world.weight;
      } else {
        merged.push_back(std::move(world));
      }
    }
    worlds_ = std::move(merged);
  }

  // Keeps a fair sample.
  void Thin(size_t count) {
    double total = 0;
    for (const World& world : worlds_) total += world.weight;
    std::uniform_real_distribution<double> uniform(0, total);
    std::map<size_t, int> kept;
    for (size_t i = 0; i < count; ++i) {
      double x = uniform(random_);
      size_t at = 0;
      while (at + 1 < worlds_.size() && x > worlds_[at].weight) {
        x -= worlds_[at++].weight;
      }
      ++kept[at];
    }
    std::vector<World> thinned;
    for (auto [at, times] : kept) {
      worlds_[at].weight = static_cast<double>(times) / count;
      thinned.push_back(std::move(worlds_[at]));
    }
    worlds_ = std::move(thinned);
  }

  std::vector<Branch> Match(const NodeState& state, const Arrival& arrival) {
    NodeDataplane node = node_;
    node.mutable_state() = state;
    node.Advance(kPacketTime);
    return node.Match(arrival);
  }

  std::vector<Path> RunPacket(const YamlValue& probe, int n,
                              const NodeState& state) {
    const Arrival arrival = ProbeArrival(probe, input_.family, n);
    std::vector<Path> paths;
    for (Branch& branch : Match(state, arrival)) {
      Path path;
      path.record = Record(branch.outcome, arrival, probe);
      path.outcome = std::move(branch.outcome);
      path.probability = branch.probability;
      path.state = std::move(branch.after);
      paths.push_back(std::move(path));
    }
    for (const YamlValue& then : probe["then"].items()) {
      std::vector<Path> next;
      for (Path& path : paths) {
        RunThen(then.str(), arrival, std::move(path), next);
      }
      paths = std::move(next);
    }
    return paths;
  }

  void RunThen(const std::string& what, const Arrival& first, Path path,
               std::vector<Path>& out) {
    const Outcome& outcome = path.outcome;
    const bool left =
        outcome.verdict.kind == Verdict::kAccept && !outcome.local;
    const bool second = what == "second";
    if ((!second && !left) ||
        (second && !first.has_source && !outcome.sent_source)) {
      out.push_back(std::move(path));
      return;
    }
    Arrival arrival;
    if (second) {
      arrival = SecondArrival(first, outcome, path.answered);
    } else if (what == "reply") {
      arrival = ReplyArrival(outcome);
      if (outcome.packet.header.IsIcmp() && !IsRequest(outcome)) {
        out.push_back(std::move(path));
        return;
      }
    } else {
      arrival = ErrorArrival(outcome);
    }
    for (Branch& branch : Match(path.state, arrival)) {
      Path next = path;
      next.probability *= branch.probability;
      next.state = std::move(branch.after);
      next.answered |= what == "reply";
      next.record.Set(what, ThenRecord(what, branch.outcome, arrival, first));
      out.push_back(std::move(next));
    }
  }

  static bool IsRequest(const Outcome& outcome) {
    const uint8_t type = outcome.packet.header.icmp_type;
    return type == 8 || type == 13 || type == 128;
  }

  YamlValue TraceOf(const Outcome& outcome) const {
    YamlValue trace = YamlValue::List();
    for (const dataplane::TraceStep& step : outcome.trace) {
      trace.Add(dataplane::TraceLine(step, *input_.rules));
    }
    return trace;
  }

  // "kept" or "changed", as recorded.
  static YamlValue SourcePort(const Packet& sent, const Packet& received) {
    return sent.src_port == received.src_port ? "kept" : "changed";
  }

  static bool HasId(const Packet& p) {
    return p.HasPorts() || (p.IsIcmp() && !dataplane::IsIcmpError(p));
  }

  // The keys that all records begin with.
  YamlValue Fate(const Outcome& outcome) const {
    YamlValue out = YamlValue::Map();
    switch (outcome.verdict.kind) {
      case Verdict::kAccept:
        out.Set("verdict", outcome.local ? "local" : "forward");
        if (!outcome.local) out.Set("out", outcome.out);
        break;
      case Verdict::kDrop:
        out.Set("verdict", "drop");
        break;
      case Verdict::kReject:
        out.Set("verdict", "reject");
        out.Set("with", outcome.verdict.reason);
        out.Set("answer_src", outcome.answer_source->ToString());
        break;
      case Verdict::kUnknown:
        out.Set("verdict", "unknown");
        out.Set("rule", outcome.verdict.rule);
        out.Set("reason", outcome.verdict.reason);
        break;
    }
    return out;
  }

  YamlValue Record(const Outcome& outcome, const Arrival& arrival,
                   const YamlValue& probe) const {
    YamlValue out = Fate(outcome);
    const Packet& got = outcome.packet.header;
    Packet sent = arrival.packet.header;
    if (outcome.sent_source) sent.src = *outcome.sent_source;
    if (outcome.verdict.kind == Verdict::kAccept) {
      out.Set("src", got.src.ToString());
      if (HasId(got)) out.Set("sport", SourcePort(sent, got));
      out.Set("dst", got.dst.ToString());
      if (got.HasPorts()) out.Set("dport", uint32_t{got.dst_port});
      // A protocol without ports does not show the one that was asked for.
      const bool port_lost =
          !got.HasPorts() && !got.IsIcmp() && sent.dst_port != 0;
      // Compared as texts: an unusual spelling in the probe counts.
      const std::string dst = probe["dst"].str();
      const std::string src =
          probe.Has("src") ? probe["src"].str() : sent.src.ToString();
      out.Set("dnat", got.dst.ToString() != dst || port_lost ||
                          (got.HasPorts() && got.dst_port != sent.dst_port));
      out.Set("snat", got.src.ToString() != src);
      if (got.tos != sent.tos) out.Set("tos", uint32_t{got.tos});
      const int ttl = sent.ttl - (!outcome.local && !arrival.interface.empty());
      // Recordings with IPVS leave it out: it counts down what the node sends.
      if (got.ttl != ttl && !input_.ipvs) out.Set("ttl", uint32_t{got.ttl});
    }
    if (!outcome.send_error.empty()) {
      out.Set("send_error", outcome.send_error);
    }
    if (outcome.sent_source) {
      out.Set("sent_src", outcome.sent_source->ToString());
    }
    out.Set("trace", TraceOf(outcome));
    return out;
  }

  YamlValue ThenRecord(const std::string& what, const Outcome& outcome,
                       const Arrival& arrival, const Arrival& first) const {
    YamlValue out = Fate(outcome);
    const Packet& got = outcome.packet.header;
    if (what == "reply-error") return ErrorRecord(outcome);
    if (outcome.verdict.kind == Verdict::kAccept) {
      out.Set("src", got.src.ToString());
      if (what == "second") {
        out.Set("sport", SourcePort(arrival.packet.header, got));
      } else {
        out.Set("sport", uint32_t{got.src_port});
      }
      out.Set("dst", got.dst.ToString());
      if (what == "reply" && got.HasPorts() &&
          got.dst_port == first.packet.header.src_port) {
        out.Set("dport", "the probe's sport");
      } else {
        out.Set("dport", uint32_t{got.HasPorts() ? got.dst_port : uint16_t{0}});
      }
    }
    if (!outcome.send_error.empty()) {
      out.Set("send_error", outcome.send_error);
    }
    out.Set("trace", TraceOf(outcome));
    return out;
  }

  YamlValue ErrorRecord(const Outcome& outcome) const {
    YamlValue out = YamlValue::Map();
    if (outcome.verdict.kind != Verdict::kAccept) {
      out.Set("verdict", "drop");
      return out;
    }
    const Packet& got = outcome.packet.header;
    const Packet& inner = *outcome.packet.quoted;
    out.Set("verdict", outcome.local ? "local" : "forward");
    out.Set("out", outcome.local ? "local" : outcome.out);
    out.Set("src", got.src.ToString());
    out.Set("dst", got.dst.ToString());
    out.Set("inner_src", inner.src.ToString());
    out.Set("inner_sport", uint32_t{inner.src_port});
    out.Set("inner_dst", inner.dst.ToString());
    out.Set("inner_dport",
            uint32_t{inner.HasPorts() ? inner.dst_port : uint16_t{0}});
    return out;
  }

  const KernelCase& input_;
  NodeDataplane node_;  // as it was loaded
  std::vector<World> worlds_;
  std::mt19937_64 random_;
};

absl::Status ReplayFamily(const ReplayPaths& paths, const std::string& family) {
  for (const std::string& name : CaseFolders(paths.corpus, family)) {
    const std::string folder = absl::StrCat("/", family, "/", name);
    if (!ReadFile(paths.corpus + folder + "/probes.yaml").ok()) continue;
    absl::StatusOr<KernelCase> input = ReadKernelCase(paths.corpus + folder);
    if (!input.ok()) {
      return absl::Status(
          input.status().code(),
          absl::StrCat(folder, ": ",
                       absl::string_view(input.status().message())));
    }
    const absl::Status written = WriteFile(paths.out + folder + "/probes.yaml",
                                           CaseReplay(*input).Run().ToYaml());
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReplayKernel(const ReplayPaths& paths) {
  return ReplayFamily(paths, "kernel");
}
absl::Status ReplayKernelIpvs(const ReplayPaths& paths) {
  return ReplayFamily(paths, "kernel-ipvs");
}
absl::Status ReplayKernelRandom(const ReplayPaths& paths) {
  return ReplayFamily(paths, "kernel-random");
}
absl::Status ReplayKernelRandom6(const ReplayPaths& paths) {
  return ReplayFamily(paths, "kernel-random6");
}

}  // namespace k8sdns::conformance
