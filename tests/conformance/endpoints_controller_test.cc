// Compares with the recordings after the steps of their README's section
// "Normalisation": what the real controllers leave to chance is taken away on
// both sides.
#include "k8sdns/cluster/endpoints_controller.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/manifest_reader.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/replay_endpoints_controller.h"
#include "tests/conformance/yaml_value.h"

namespace k8sdns::conformance {
namespace {

using Names = std::set<std::pair<std::string, std::string>>;

Cluster Read(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  auto cluster = ReadCluster(*text, path);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : Cluster();
}

std::string PortsText(const std::vector<EndpointPort>& ports) {
  std::string text;
  for (const EndpointPort& p : ports) {
    absl::StrAppendFormat(
        &text, "%s\n%05d\n%s\n%s\n\n", p.name.value_or(""), p.port.value_or(0),
        KubernetesProtocolName(p.protocol.value_or(Protocol::kTcp)),
        p.app_protocol.value_or(""));
  }
  return text;
}

void SortPorts(std::vector<EndpointPort>& ports) {
  for (EndpointPort& p : ports) p.name = p.name.value_or("");
  std::sort(ports.begin(), ports.end(), [](const auto& a, const auto& b) {
    return PortsText({a}) < PortsText({b});
  });
}

auto EndpointOrder(const Endpoint& e) {
  const ObjectReference target = e.target_ref.value_or(ObjectReference());
  return std::make_tuple(
      e.addresses.empty() ? SharedText() : e.addresses[0],
      e.hostname.value_or(""),
      absl::StrCat(target.namespace_.view(), "/", target.name.view()));
}

bool EndpointLess(const Endpoint& a, const Endpoint& b) {
  return EndpointOrder(a) < EndpointOrder(b);
}

void DropVolatile(ObjectMeta& meta) {
  meta.uid = "";
  meta.creation_timestamp = "";
}

// Step 5: of created slices only the sizes and the union count.
void DealOut(const std::vector<EndpointSlice*>& created) {
  EndpointList all;
  for (EndpointSlice* s : created) {
    all.insert(all.end(), s->endpoints.begin(), s->endpoints.end());
  }
  std::sort(all.begin(), all.end(), EndpointLess);
  std::vector<EndpointSlice*> by_size = created;
  std::stable_sort(by_size.begin(), by_size.end(), [](auto* a, auto* b) {
    return a->endpoints.size() > b->endpoints.size();
  });
  auto next = all.begin();
  for (EndpointSlice* s : by_size) {
    for (Endpoint& e : s->endpoints) e = *next++;
  }
}

// Step 6: of hints only how many a zone gives to each other one.
void DealOutHints(const std::vector<EndpointSlice*>& group) {
  std::map<std::string, std::vector<Endpoint*>> by_zone;
  for (EndpointSlice* s : group) {
    for (Endpoint& e : s->endpoints) {
      if (e.ready == true && e.hints_for_zones &&
          e.hints_for_zones->size() == 1) {
        by_zone[std::string(e.zone.value_or(""))].push_back(&e);
      }
    }
  }
  for (auto& [zone, endpoints] : by_zone) {
    std::sort(endpoints.begin(), endpoints.end(),
              [](auto* a, auto* b) { return EndpointLess(*a, *b); });
    std::vector<std::vector<std::string>> hints;
    for (Endpoint* e : endpoints) hints.push_back(*e->hints_for_zones);
    std::sort(hints.begin(), hints.end());
    for (size_t i = 0; i < endpoints.size(); ++i) {
      endpoints[i]->hints_for_zones = hints[i];
    }
  }
}

auto GroupOf(const EndpointSlice& s) {
  return std::make_tuple(
      s.metadata.namespace_, std::string(s.ServiceName()),
      std::string(Find(s.metadata.labels, kSliceManagedByLabel)),
      static_cast<int>(s.address_type), PortsText(s.ports));
}

// In the order of steps 7 and 8, as text.
std::string NormalSlices(const Cluster& cluster, const Names& before) {
  std::vector<EndpointSlice> slices(cluster.endpoint_slices().begin(),
                                    cluster.endpoint_slices().end());
  const auto created = [&](const EndpointSlice& s) {
    return !before.contains({s.metadata.namespace_, s.metadata.name});
  };
  std::map<decltype(GroupOf(slices[0])), std::vector<EndpointSlice*>> groups;
  for (EndpointSlice& s : slices) {
    DropVolatile(s.metadata);
    SortPorts(s.ports);
    std::stable_sort(s.endpoints.begin(), s.endpoints.end(), EndpointLess);
    groups[GroupOf(s)].push_back(&s);
  }
  for (auto& [key, group] : groups) {
    std::vector<EndpointSlice*> fresh;
    for (EndpointSlice* s : group) {
      if (created(*s)) fresh.push_back(s);
    }
    DealOut(fresh);
    DealOutHints(group);
  }
  const auto order = [&](const EndpointSlice& s) {
    return std::make_tuple(
        GroupOf(s),
        EndpointOrder(s.endpoints.empty() ? Endpoint() : s.endpoints[0]),
        created(s) ? "~" : s.metadata.name);
  };
  std::stable_sort(
      slices.begin(), slices.end(),
      [&](const auto& a, const auto& b) { return order(a) < order(b); });
  std::map<std::pair<std::string, std::string>, int> count;
  std::string text;
  for (EndpointSlice& s : slices) {
    if (created(s)) {
      const std::string prefix(s.metadata.generate_name);
      s.metadata.name =
          absl::StrCat(prefix, count[{s.metadata.namespace_, prefix}]++);
    }
    absl::StrAppend(&text, WriteYaml(s), "---\n");
  }
  return text;
}

std::string AddressesText(const EndpointSubset& s) {
  std::string text = PortsText(s.ports);
  for (const auto* list : {&s.addresses, &s.not_ready_addresses}) {
    for (const EndpointAddress& a : *list) absl::StrAppend(&text, a.ip, "\n");
  }
  return text;
}

std::string NormalEndpoints(const Cluster& cluster) {
  std::string text;
  for (Endpoints e : cluster.endpoints()) {
    DropVolatile(e.metadata);
    for (EndpointSubset& s : e.subsets) {
      SortPorts(s.ports);
      for (auto* list : {&s.addresses, &s.not_ready_addresses}) {
        std::stable_sort(
            list->begin(), list->end(), [](const auto& a, const auto& b) {
              const ObjectReference none;
              return std::make_pair(a.ip, a.target_ref.value_or(none).uid) <
                     std::make_pair(b.ip, b.target_ref.value_or(none).uid);
            });
      }
    }
    std::stable_sort(e.subsets.begin(), e.subsets.end(),
                     [](const auto& a, const auto& b) {
                       return AddressesText(a) < AddressesText(b);
                     });
    absl::StrAppend(&text, WriteYaml(e), "---\n");
  }
  return text;
}

Names SliceNames(const Cluster& cluster) {
  Names names;
  for (const EndpointSlice& s : cluster.endpoint_slices()) {
    names.emplace(s.metadata.namespace_, s.metadata.name);
  }
  return names;
}

constexpr char kFamily[] = "endpoints-controller";

TEST(EndpointsController, AsRecorded) {
  const ReplayPaths paths = ReplayForTest(kFamily, ReplayEndpointsController);
  std::vector<CaseResult> results;
  for (const std::string& name : CaseFolders(paths.corpus, kFamily)) {
    const std::string under = absl::StrCat("/", kFamily, "/", name);
    const Names before =
        SliceNames(Read(paths.corpus + under + "/cluster.yaml"));
    for (const std::string kind : {"endpointslices", "endpoints"}) {
      const std::string file = under + "/" + kind + ".yaml";
      const Cluster want = Read(paths.corpus + file);
      const Cluster got = Read(paths.out + file);
      CaseResult result = {kind, name, true, ""};
      result.difference =
          kind == "endpoints"
              ? LineDifference(NormalEndpoints(want), NormalEndpoints(got))
              : LineDifference(NormalSlices(want, before),
                               NormalSlices(got, before));
      result.ok = result.difference.empty();
      results.push_back(std::move(result));
    }
  }
  ExpectConforms(kFamily, results);
}

// What the controllers have settled on stays, as it did when the recorded
// results were fed back to the real ones.
TEST(EndpointsController, ResultFedBackIsUnchanged) {
  for (const std::string& name : CaseFolders("tests/recordings", kFamily)) {
    SCOPED_TRACE(name);
    const Cluster once = ReconcileEndpoints(Read(absl::StrCat(
        "tests/recordings/", kFamily, "/", name, "/cluster.yaml")));
    EXPECT_EQ(WriteYaml(ReconcileEndpoints(once)), WriteYaml(once));
  }
}

}  // namespace
}  // namespace k8sdns::conformance
