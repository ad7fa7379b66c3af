// Hints, legacy Endpoints, mirroring, input that is less than a cluster, and
// what holds for every cluster. For the slices themselves see
// endpoint_slices_test.cc.
#include "k8sdns/cluster/endpoints_controller.h"

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/endpoints_test_objects.h"
#include "k8sdns/cluster/topology_hints.h"

namespace k8sdns::endpoints_test {
namespace {

// --- Hints ---

Service WithTopologyMode(Service s) {
  s.metadata.annotations["service.kubernetes.io/topology-mode"] = "Auto";
  return s;
}

TEST(Hints, AutoKeepsBalancedZonesToThemselves) {
  EXPECT_EQ(
      SettledSlices(MakeCluster(
          WithTopologyMode(MakeService()), MakePod("a", "n1", "10.0.0.1"),
          MakePod("b", "n2", "10.0.0.2"), MakePod("c", "n3", "10.0.0.3"))),
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1>z1 b:10.0.0.2@z2>z2 "
      "c:10.0.0.3@z3>z3\n");
}

TEST(Hints, AutoGivesFromFullZonesToEmptyOnes) {
  EXPECT_EQ(
      SettledSlices(MakeCluster(
          WithTopologyMode(MakeService()), MakePod("a", "n1", "10.0.0.1"),
          MakePod("b", "n1", "10.0.0.2"), MakePod("c", "n2", "10.0.0.3"))),
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1>z3 b:10.0.0.2@z1>z1 "
      "c:10.0.0.3@z2>z2\n");
}

TEST(Hints, AutoFollowsTheCpuOfZones) {
  Cluster cluster = MakeCluster(
      WithTopologyMode(MakeService()), MakeNode("n1", "z1", "8"),
      MakePod("a", "n1", "10.0.0.1"), MakePod("b", "n2", "10.0.0.2"),
      MakePod("c", "n2", "10.0.0.3"), MakePod("d", "n3", "10.0.0.4"));
  EXPECT_EQ(SettledSlices(cluster),
            "web IPv4 [http=8080/TCP] a:10.0.0.1@z1>z1 b:10.0.0.2@z2>z1 "
            "c:10.0.0.3@z2>z2 d:10.0.0.4@z3>z3\n");
  // Control plane nodes and nodes that are not ready have no share.
  Node control_plane = MakeNode("cp", "z2", "64");
  control_plane.metadata.labels["node-role.kubernetes.io/control-plane"] = "";
  Node down = MakeNode("down", "", "64");
  down.conditions[0].status = "Unknown";
  cluster.Put(control_plane);
  cluster.Put(down);
  EXPECT_NE(SettledSlices(cluster).find("b:10.0.0.2@z2>z1"), std::string::npos);
}

TEST(Hints, AutoGivesUpAndSaysWhy) {
  const struct {
    const char* why;
    Cluster cluster;
  } kCases[] = {
      {"no topology hints: fewer endpoints than zones (1 endpoints, 3 zones)",
       MakeCluster(WithTopologyMode(MakeService()),
                   MakePod("a", "n1", "10.0.0.1"))},
      {"no topology hints: not every ready node has a zone and CPU, or there "
       "is only one zone",
       MakeCluster(WithTopologyMode(MakeService()), MakeNode("n4"),
                   MakePod("a", "n1", "10.0.0.1"))},
      {"no topology hints: a zone would be overloaded (4 endpoints, 3 zones)",
       MakeCluster(
           WithTopologyMode(MakeService()), MakePod("a", "n1", "10.0.0.1"),
           MakePod("b", "n1", "10.0.0.2"), MakePod("c", "n2", "10.0.0.3"),
           MakePod("d", "n3", "10.0.0.4"))},
  };
  for (const auto& c : kCases) {
    std::vector<Finding> findings;
    const Cluster settled = ReconcileEndpoints(c.cluster, {}, &findings);
    EXPECT_EQ(Slices(settled).find('>'), std::string::npos) << c.why;
    ASSERT_EQ(Ids(findings),
              std::vector<std::string>{"endpoints/hints-disabled"});
    EXPECT_EQ(findings[0].what, c.why);
  }
}

TEST(Hints, TheOldAnnotationWins) {
  Service s = WithTopologyMode(MakeService());
  s.metadata.annotations["service.kubernetes.io/topology-aware-hints"] =
      "Disabled";
  EXPECT_FALSE(endpoints_internal::WantsTopologyHints(s.metadata.annotations));
}

TEST(Hints, TrafficDistributionByRelease) {
  Service s = MakeService();
  s.spec.traffic_distribution = "PreferClose";
  Cluster cluster = MakeCluster(s, MakePod("a", "n1", "10.0.0.1"),
                                NotReady(MakePod("b", "n2", "10.0.0.2")));
  const std::string none =
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1 b:10.0.0.2!@z2\n";
  const std::string zone =
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1>z1 b:10.0.0.2!@z2\n";
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(30)), none);
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(31)), zone);
  s.spec.traffic_distribution = "PreferSameNode";
  cluster.Put(s);
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(33)), none);
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(34)),
            "web IPv4 [http=8080/TCP] a:10.0.0.1@z1>z1>>n1 b:10.0.0.2!@z2\n");
}

TEST(Hints, AreTakenAwayWhenNobodyAsksForThem) {
  Service s = MakeService();
  s.spec.traffic_distribution = "PreferClose";
  Cluster cluster =
      ReconcileEndpoints(MakeCluster(s, MakePod("a", "n1", "10.0.0.1")));
  ASSERT_NE(Slices(cluster).find(">z1"), std::string::npos);
  cluster.Put(MakeService());
  EXPECT_EQ(SettledSlices(cluster), "web IPv4 [http=8080/TCP] a:10.0.0.1@z1\n");
}

TEST(Hints, Quantities) {
  using endpoints_internal::ParseQuantityNanos;
  EXPECT_EQ(ParseQuantityNanos("4"), 4'000'000'000);
  EXPECT_EQ(ParseQuantityNanos("3920m"), 3'920'000'000);
  EXPECT_EQ(ParseQuantityNanos("0.1"), 100'000'000);
  EXPECT_EQ(ParseQuantityNanos("1.5k"), 1'500'000'000'000);
  EXPECT_EQ(ParseQuantityNanos("1e3"), 1'000'000'000'000);
  EXPECT_EQ(ParseQuantityNanos("1Ki"), 1'024'000'000'000);
  EXPECT_EQ(ParseQuantityNanos("1n"), 1);
  EXPECT_EQ(ParseQuantityNanos("9E"), 4'000'000'000'000'000'000);  // capped
  for (const char* bad : {"", "m", "4x", "1.2.3", "e3", "1e99", "--1"}) {
    EXPECT_EQ(ParseQuantityNanos(bad), std::nullopt) << bad;
  }
}

// --- Legacy Endpoints ---

TEST(LegacyEndpoints, NotReadyAreApartAndTerminatingAreOut) {
  const Cluster cluster =
      MakeCluster(MakeService(), MakePod("a", "n1", "10.0.0.1"),
                  NotReady(MakePod("b", "n1", "10.0.0.2")),
                  Terminating(MakePod("c", "n1", "10.0.0.3")));
  EXPECT_EQ(SettledLegacy(cluster),
            "web\n  [http=8080/TCP] 10.0.0.1 10.0.0.2!\n");
}

TEST(LegacyEndpoints, PortsWithTheSameAddressesShareASubset) {
  Service s = MakeService();
  s.spec.ports.push_back(
      {"metrics", Protocol::kTcp, 90, std::string("metrics"), 0, {}});
  s.spec.ports.push_back({"dns", Protocol::kUdp, 53, 53, 0, {}});
  Pod b = MakePod("b", "n1", "10.0.0.2");
  b.spec.containers[0].ports.push_back(NamedPort("metrics", 9090));
  EXPECT_EQ(SettledLegacy(MakeCluster(s, MakePod("a", "n1", "10.0.0.1"), b)),
            "web\n"
            "  [dns=53/UDP,http=8080/TCP] 10.0.0.1 10.0.0.2\n"
            "  [metrics=9090/TCP] 10.0.0.2\n");
}

TEST(LegacyEndpoints, TruncatedAtAThousandReadyOnesFirst) {
  Cluster cluster = ClusterOf(1002);
  cluster.Put(NotReady(MakePod("p1000", "n1", "10.0.0.1")));
  std::vector<Finding> findings;
  const Cluster settled = ReconcileEndpoints(cluster, {}, &findings);
  const Endpoints& e = *settled.endpoints().begin();
  ASSERT_EQ(e.subsets.size(), 1u);
  EXPECT_EQ(e.subsets[0].addresses.size(), 1000u);
  EXPECT_TRUE(e.subsets[0].not_ready_addresses.empty());
  EXPECT_EQ(
      Find(e.metadata.annotations, "endpoints.kubernetes.io/over-capacity"),
      "truncated");
  ASSERT_EQ(Ids(findings), std::vector<std::string>{"endpoints/truncated"});
  EXPECT_EQ(findings[0].what,
            "Endpoints hold 1000 of 1002 addresses; EndpointSlices hold all");
}

TEST(LegacyEndpoints, RefusedByTheApiServer) {
  for (const char* ip : {"127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0"}) {
    std::vector<Finding> findings;
    const Cluster settled = ReconcileEndpoints(
        MakeCluster(MakeService(), MakePod("a", "n1", ip)), {}, &findings);
    EXPECT_EQ(Legacy(settled), "") << ip;
    EXPECT_EQ(Ids(findings), std::vector<std::string>{"endpoints/refused"});
  }
}

TEST(LegacyEndpoints, LeftoversGoButLocksStay) {
  Endpoints lock = MakeEndpoints("lock", {});
  lock.metadata.annotations["control-plane.alpha.kubernetes.io/leader"] = "{}";
  EXPECT_EQ(SettledLegacy(MakeCluster(lock, MakeEndpoints("leftover", {}))),
            "lock\n");
}

// The label is the controller's own: it finds its Endpoints different from the
// Service each time, and writes them again, without a trigger time.
TEST(LegacyEndpoints, HeadlessLabelOnTheServiceItself) {
  Service s = MakeService();
  s.metadata.labels = {{"service.kubernetes.io/headless", "x"}};
  s.metadata.creation_timestamp = "2024-05-01T12:00:00Z";
  const Cluster settled =
      ReconcileEndpoints(MakeCluster(s, MakePod("a", "n1", "10.0.0.1")));
  const ObjectMeta& meta = settled.endpoints().begin()->metadata;
  EXPECT_EQ(meta.labels, StringMap());
  EXPECT_EQ(meta.annotations, StringMap());
}

TEST(LegacyEndpoints, LabelledFromRelease33) {
  const Cluster cluster =
      MakeCluster(MakeService(), MakePod("a", "n1", "10.0.0.1"));
  constexpr char kLabel[] = "endpoints.kubernetes.io/managed-by";
  for (int minor : {32, 33}) {
    const Cluster settled =
        ReconcileEndpoints(cluster, Options::ForRelease(minor));
    EXPECT_EQ(Find(settled.endpoints().begin()->metadata.labels, kLabel),
              minor == 32 ? "" : "endpoint-controller");
  }
}

// --- Mirroring ---

Service Manual() {
  Service s = MakeService();
  s.spec.selector.clear();
  return s;
}

TEST(Mirroring, EachListOfPortsAndFamilyIsASlice) {
  const Cluster settled = ReconcileEndpoints(MakeCluster(
      Manual(),
      MakeEndpoints("web",
                    {{{Address("192.0.2.1"), Address("2001:db8::1")},
                      {Address("192.0.2.2")},
                      {PortNamed("a", 80)}},
                     {{Address("192.0.2.1")}, {}, {PortNamed("b", 81)}}})));
  EXPECT_EQ(Slices(settled),
            "web IPv4 [a=80/TCP] -:192.0.2.1 -:192.0.2.2!\n"
            "web IPv4 [b=81/TCP] -:192.0.2.1\n"
            "web IPv6 [a=80/TCP] -:2001:db8::1\n");
}

TEST(Mirroring, NotReadyForAPortWinsOverReady) {
  EXPECT_EQ(
      SettledSlices(MakeCluster(
          Manual(),
          MakeEndpoints("web",
                        {{{Address("192.0.2.1")},
                          {},
                          {PortNamed("a", 80), PortNamed("b", 81)}},
                         {{}, {Address("192.0.2.1")}, {PortNamed("b", 81)}}}))),
      "web IPv4 [a=80/TCP] -:192.0.2.1\n"
      "web IPv4 [b=81/TCP] -:192.0.2.1!\n");
}

TEST(Mirroring, LabelsAndAnnotationsAreCopiedAndFollow) {
  Endpoints e = MakeEndpoints(
      "web", {{{Address("192.0.2.1")}, {}, {PortNamed("a", 80)}}});
  e.metadata.labels["l"] = "1";
  e.metadata.annotations = {
      {"note", "kept"},
      {"kubectl.kubernetes.io/last-applied-configuration", "{}"},
      {"endpoints.kubernetes.io/last-change-trigger-time", "x"}};
  Cluster cluster = ReconcileEndpoints(MakeCluster(Manual(), e));
  const std::string name = OnlySlice(cluster).metadata.name;
  EXPECT_EQ(OnlySlice(cluster).metadata.annotations,
            (StringMap{{"note", "kept"}}));
  e.metadata.labels["l"] = "2";
  cluster.Put(e);
  cluster = ReconcileEndpoints(cluster);
  EXPECT_EQ(Find(OnlySlice(cluster).metadata.labels, "l"), "2");
  EXPECT_EQ(OnlySlice(cluster).metadata.name, name);
}

TEST(Mirroring, NotIfAskedNotTo) {
  const std::vector<EndpointSubset> subsets = {
      {{Address("192.0.2.1")}, {}, {PortNamed("a", 80)}}};
  Endpoints skip = MakeEndpoints("web", subsets);
  Cluster cluster = ReconcileEndpoints(MakeCluster(Manual(), skip));
  ASSERT_EQ(cluster.endpoint_slices().size(), 1u);
  skip.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] = "true";
  cluster.Put(skip);
  EXPECT_EQ(SettledSlices(cluster), "");
  // Nor once the Service has a selector: then its Pods count.
  cluster.Put(MakeEndpoints("web", subsets));
  cluster.Put(MakeService());
  EXPECT_EQ(SettledSlices(cluster), "web IPv4 []\n");
}

TEST(Mirroring, InvalidAndTooManyAddressesAreReported) {
  Options options;
  options.max_mirrored_endpoints_per_subset = 1;
  std::vector<Finding> findings;
  const Cluster settled = ReconcileEndpoints(
      MakeCluster(Manual(), MakeEndpoints("web", {{{Address("0.nonsense"),
                                                    Address("192.0.2.1"),
                                                    Address("192.0.2.2")},
                                                   {},
                                                   {PortNamed("a", 80)}}})),
      options, &findings);
  EXPECT_EQ(Slices(settled), "web IPv4 [a=80/TCP] -:192.0.2.1\n");
  EXPECT_EQ(Ids(findings),
            (std::vector<std::string>{"endpoints/invalid-address",
                                      "endpoints/mirror-truncated"}));
}

// --- Input that is less than a cluster ---

TEST(DeriveMissing, FromPodsWhereThereAreNoSlices) {
  Cluster cluster;  // without Nodes
  cluster.Put(MakeService());
  cluster.Put(MakePod("a", "n1", "10.0.0.1"));
  const Cluster derived = DeriveMissingEndpoints(cluster);
  EXPECT_EQ(Slices(derived), "web IPv4 [http=8080/TCP] a:10.0.0.1\n");
  EXPECT_EQ(Legacy(derived), "web\n  [http=8080/TCP] 10.0.0.1\n");
}

TEST(DeriveMissing, LeavesWhatIsThere) {
  const Cluster settled = ReconcileEndpoints(
      MakeCluster(MakeService(), MakePod("a", "n1", "10.0.0.1")));
  Cluster cluster = settled;
  cluster.Put(MakePod("b", "n1", "10.0.0.2"));
  cluster.Put(MakeEndpoints("leftover", {}));
  EXPECT_TRUE(Difference(cluster, DeriveMissingEndpoints(cluster)).empty());
}

TEST(DeriveMissing, EachKindFromTheOtherWithoutPods) {
  Endpoints e = MakeEndpoints("web", {{{Address("10.0.0.1")},
                                       {Address("10.0.0.2")},
                                       {PortNamed("http", 8080)}}});
  e.subsets[0].addresses[0].node_name = "n1";
  const Cluster with_slices =
      DeriveMissingEndpoints(MakeCluster(MakeService(), e));
  EXPECT_EQ(Slices(with_slices),
            "web IPv4 [http=8080/TCP] -:10.0.0.1@z1 -:10.0.0.2!\n");
  Cluster only_slices = with_slices;
  only_slices.RemoveEndpoints({"default", "web"});
  EXPECT_EQ(Legacy(DeriveMissingEndpoints(only_slices)),
            "web\n  [http=8080/TCP] 10.0.0.1 10.0.0.2!\n");
}

TEST(DeriveMissing, MirrorsManualEndpoints) {
  EXPECT_EQ(
      Slices(DeriveMissingEndpoints(MakeCluster(
          Manual(),
          MakeEndpoints(
              "web", {{{Address("192.0.2.1")}, {}, {PortNamed("a", 80)}}})))),
      "web IPv4 [a=80/TCP] -:192.0.2.1\n");
}

// --- What holds for every cluster ---

// Pods come, go and change; Services too. A cluster that is kept up to date
// step by step must say what one made from scratch says.
class RandomCluster {
 public:
  explicit RandomCluster(uint32_t seed) : random_(seed) {
    for (int i = 0; i < 4; ++i) {
      const std::string name = absl::StrCat("n", i);
      cluster_.Put(MakeNode(name, absl::StrCat("z", i % 3)));
    }
    for (int i = 0; i < 3; ++i) PutService(i);
  }

  void Step() {
    for (int i = 0; i < 10; ++i) {
      const std::string name = absl::StrCat("p", Draw(40));
      if (Draw(4) == 0) {
        cluster_.RemovePod({"default", name});
      } else {
        PutPod(name);
      }
    }
    if (Draw(3) == 0) PutService(Draw(3));
  }

  Cluster& cluster() { return cluster_; }

 private:
  int Draw(int below) { return static_cast<int>(random_() % below); }

  void PutPod(const std::string& name) {
    Pod p = MakePod(name, absl::StrCat("n", Draw(5)), "");  // n4 is unknown
    const int address = Draw(60) + 1;
    if (Draw(8) != 0)
      p.status.pod_ips.push_back(absl::StrCat("10.0.0.", address));
    if (Draw(3) == 0)
      p.status.pod_ips.push_back(absl::StrCat("fd00::", address));
    if (Draw(4) == 0) p = NotReady(p);
    if (Draw(6) == 0) p = Terminating(p);
    if (Draw(10) == 0) p.status.phase = PodPhase::kFailed;
    p.spec.containers[0].ports[0].container_port = 8080 + Draw(2);
    if (Draw(6) == 0) p.spec.containers[0].ports.clear();
    cluster_.Put(p);
  }

  void PutService(int i) {
    Service s = MakeService(absl::StrCat("s", i));
    if (Draw(2) == 0) s = WithNamedPort(s);
    if (Draw(3) == 0) s.spec.ip_families.push_back(IpFamily::kIpv6);
    if (Draw(3) == 0) s.metadata.labels["draw"] = absl::StrCat(Draw(3));
    if (Draw(3) == 0) s.spec.traffic_distribution = "PreferClose";
    if (Draw(4) == 0) s = WithTopologyMode(s);
    s.spec.publish_not_ready_addresses = Draw(4) == 0;
    cluster_.Put(s);
  }

  std::mt19937 random_;
  Cluster cluster_;
};

// Each endpoint with its Service, family and ports, but without hints: those
// may be handed out in several ways.
std::multiset<std::string> EndpointLines(const Cluster& cluster) {
  std::multiset<std::string> lines;
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    for (const Endpoint& e : slice.endpoints) {
      EndpointSlice line = slice;
      line.endpoints = {e};
      line.endpoints[0].hints_for_zones.reset();
      lines.insert(Dump(line));
    }
  }
  return lines;
}

TEST(AnyCluster, KeptUpToDateItSaysWhatOneFromScratchSays) {
  Options options;
  options.max_endpoints_per_slice = 5;
  for (uint32_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    RandomCluster random(seed);
    for (int step = 0; step < 10; ++step) {
      random.Step();
      Cluster scratch = random.cluster();
      for (const EndpointSlice& s : random.cluster().endpoint_slices()) {
        scratch.RemoveEndpointSlice(KeyOf(s.metadata));
      }
      for (const Endpoints& e : random.cluster().endpoints()) {
        scratch.RemoveEndpoints(KeyOf(e.metadata));
      }
      scratch = ReconcileEndpoints(scratch, options);
      const Cluster settled = ReconcileEndpoints(random.cluster(), options);
      EXPECT_EQ(EndpointLines(settled), EndpointLines(scratch));
      EXPECT_EQ(Legacy(settled), Legacy(scratch));
      EXPECT_TRUE(
          Difference(settled, ReconcileEndpoints(settled, options)).empty());
      for (const EndpointSlice& s : settled.endpoint_slices()) {
        EXPECT_LE(s.endpoints.size(), options.max_endpoints_per_slice);
      }
      for (const Service& s : settled.services()) {
        EXPECT_GE(settled.SlicesOf("default", s.metadata.name).size(),
                  s.spec.ip_families.size());
      }
      random.cluster() = settled;
    }
  }
}

}  // namespace
}  // namespace k8sdns::endpoints_test
