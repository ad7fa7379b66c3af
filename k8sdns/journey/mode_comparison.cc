#include "k8sdns/journey/mode_comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace k8sdns::journey {
namespace {

// The last rule of the way that has a number; where replies are lost, that of
// the reply's way.
std::string LastRule(const Trip& trip) {
  std::string last;
  for (const std::vector<Leg>* legs : {&trip.there, &trip.back}) {
    for (const Leg& leg : *legs) {
      const auto* visit = std::get_if<NodeVisit>(&leg);
      if (visit == nullptr) continue;
      for (const RuleLine& line : visit->rules) {
        last = line.number == 0
                   ? absl::StrCat(line.table, " ", line.chain, ": ", line.text)
                   : absl::StrCat(line.table, " ", line.text);
      }
    }
  }
  return last;
}

ModeEnding EndingOf(const Trip& trip) {
  ModeEnding ending;
  ending.fate = trip.fate;
  ending.reply_arrives = trip.reply_arrives;
  if (trip.fate != Trip::Fate::kArrives) {
    ending.where = trip.reason;
    return ending;
  }
  const Packet& got = trip.received;
  ending.where = absl::StrCat(
      trip.receiver, " at ",
      got.HasPorts() ? SocketAddress{got.dst, got.dst_port}.ToString()
                     : got.dst.ToString());
  ending.masqueraded = got.src != trip.sent.src;
  if (!trip.reply_arrives && !trip.reason.empty()) {
    absl::StrAppend(&ending.where, "; ", trip.reason);
  }
  return ending;
}

bool Good(const ModeEnding& ending) {
  return ending.fate == Trip::Fate::kArrives && ending.reply_arrives;
}

ModeBehaviour BehaviourOf(const std::vector<Trip>& trips) {
  using Key = std::tuple<int, std::string, bool, bool>;
  std::map<Key, ModeEnding> endings;
  ModeBehaviour out;
  for (const Trip& trip : trips) {
    ModeEnding e = EndingOf(trip);
    e.probability = 0;
    const auto it = endings
                        .try_emplace(Key(static_cast<int>(e.fate), e.where,
                                         e.masqueraded, e.reply_arrives),
                                     e)
                        .first;
    it->second.probability += trip.probability;
    if (!Good(e)) out.decided_by = LastRule(trip);
  }
  for (auto& [key, ending] : endings) out.endings.push_back(std::move(ending));
  return out;
}

bool Same(const ModeBehaviour& a, const ModeBehaviour& b) {
  return std::equal(a.endings.begin(), a.endings.end(), b.endings.begin(),
                    b.endings.end(),
                    [](const ModeEnding& x, const ModeEnding& y) {
                      // Both modes draw with 31 bits.
                      return std::abs(x.probability - y.probability) < 1e-6 &&
                             x.fate == y.fate && x.where == y.where &&
                             x.masqueraded == y.masqueraded &&
                             x.reply_arrives == y.reply_arrives;
                    });
}

}  // namespace

std::string ModeEnding::ToString() const {
  std::string out =
      absl::StrCat(fate == Trip::Fate::kArrives && !reply_arrives
                       ? "arrives, but its reply does not"
                       : FateName(fate),
                   ": ", where, masqueraded ? ", masqueraded" : "");
  if (probability < 1 - 1e-6) {
    absl::StrAppendFormat(&out, " (probability %.4g)", probability);
  }
  return out;
}

std::string ModeBehaviour::ToString() const {
  std::string out;
  for (const ModeEnding& e : endings) {
    absl::StrAppend(&out, "      ", e.ToString(), "\n");
  }
  if (!decided_by.empty()) {
    absl::StrAppend(&out, "      last rule met: ", decided_by, "\n");
  }
  return out;
}

std::string ModeComparison::ToString() const {
  std::string out;
  for (const ModeDifference& d : differences) {
    absl::StrAppend(&out, d.probe.what, "\n  ", d.probe.packet.ToString(),
                    "\n    iptables:\n", d.iptables.ToString(), "    ipvs:\n",
                    d.ipvs.ToString());
  }
  absl::StrAppend(&out, differences.size(), " of ", probes,
                  " probes end differently");
  if (skipped > 0) {
    absl::StrAppend(&out, "; ", skipped, " more were not sent");
  }
  absl::StrAppend(
      &out,
      "\nNo single packet shows: iptables draws an endpoint at random, IPVS "
      "goes by its\nscheduler; affinity lasts from the last new connection in "
      "iptables (recent), from\nthe last packet in IPVS (persistence).\n");
  return out;
}

absl::StatusOr<ModeComparison> CompareModes(
    const Cluster& cluster, const ModeComparisonOptions& options) {
  return CompareModes(cluster, options, ProbesOf(cluster));
}

absl::StatusOr<ModeComparison> CompareModes(
    const Cluster& cluster, const ModeComparisonOptions& options,
    std::span<const ModeProbe> probes) {
  WorldOptions iptables = options.world;
  iptables.proxy.mode = ProxyMode::kIptables;
  WorldOptions ipvs = options.world;
  ipvs.proxy.mode = ProxyMode::kIpvs;
  absl::StatusOr<World> worlds[] = {World::Create(cluster, iptables),
                                    World::Create(cluster, ipvs)};
  ModeComparison comparison;
  comparison.probes = std::min(probes.size(), options.max_probes);
  comparison.skipped = probes.size() - comparison.probes;
  for (const ModeProbe& probe : probes.first(comparison.probes)) {
    ModeBehaviour behaviour[2];
    for (int i = 0; i < 2; ++i) {
      if (!worlds[i].ok()) return worlds[i].status();
      absl::StatusOr<std::vector<Trip>> trips =
          worlds[i]->Send(probe.from, probe.packet);
      if (!trips.ok()) return trips.status();
      behaviour[i] = BehaviourOf(*trips);
    }
    if (Same(behaviour[0], behaviour[1])) continue;
    comparison.differences.push_back(
        {probe, std::move(behaviour[0]), std::move(behaviour[1])});
  }
  return comparison;
}

}  // namespace k8sdns::journey
