// The EndpointSlices of Services with a selector: which Pods, which ports, how
// they are split, and what a restart of the controller keeps.
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "k8sdns/cluster/endpoints_controller.h"
#include "k8sdns/cluster/endpoints_test_objects.h"

namespace k8sdns::endpoints_test {
namespace {

// --- Which Pods, and as what ---

TEST(EndpointSlices, ReadyPodsWithTheirZones) {
  EXPECT_EQ(
      SettledSlices(MakeCluster(MakeService(), MakePod("a", "n1", "10.0.0.1"),
                                MakePod("b", "n2", "10.0.0.2"))),
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1 b:10.0.0.2@z2\n");
}

TEST(EndpointSlices, NotReadyAndTerminatingPodsAreListedAsSuch) {
  EXPECT_EQ(SettledSlices(MakeCluster(
                MakeService(), NotReady(MakePod("a", "n1", "10.0.0.1")),
                Terminating(MakePod("b", "n1", "10.0.0.2")),
                Terminating(NotReady(MakePod("c", "n1", "10.0.0.3"))))),
            "web IPv4 [http=8080/TCP] a:10.0.0.1!@z1 b:10.0.0.2!+~@z1 "
            "c:10.0.0.3!~@z1\n");
}

TEST(EndpointSlices, PublishNotReadyAddressesMakesAllReady) {
  Service s = MakeService();
  s.spec.publish_not_ready_addresses = true;
  EXPECT_EQ(
      SettledSlices(MakeCluster(s, NotReady(MakePod("a", "n1", "10.0.0.1")),
                                Terminating(MakePod("b", "gone", "10.0.0.2")))),
      "web IPv4 [http=8080/TCP] a:10.0.0.1@z1 b:10.0.0.2~\n");
}

TEST(EndpointSlices, FinishedPodsAndPodsWithoutAddressAreNot) {
  Pod failed = MakePod("a", "n1", "10.0.0.1");
  failed.status.phase = PodPhase::kFailed;
  Pod succeeded = MakePod("b", "n1", "10.0.0.2");
  succeeded.status.phase = PodPhase::kSucceeded;
  Pod unknown = MakePod("c", "n1", "10.0.0.3");
  unknown.status.phase = PodPhase::kUnknown;
  EXPECT_EQ(SettledSlices(MakeCluster(MakeService(), failed, succeeded, unknown,
                                      MakePod("d", "n1", ""))),
            "web IPv4 [http=8080/TCP] c:10.0.0.3@z1\n");
}

TEST(EndpointSlices, PodOnUnknownNodeIsLeftOutAndReported) {
  const Cluster cluster =
      MakeCluster(MakeService(), MakePod("a", "gone", "10.0.0.1"));
  std::vector<Finding> findings;
  const Cluster settled = ReconcileEndpoints(cluster, {}, &findings);
  EXPECT_EQ(Slices(settled), "web IPv4 []\n");
  EXPECT_EQ(Legacy(settled), "web\n  [http=8080/TCP] 10.0.0.1\n");
  ASSERT_EQ(Ids(findings),
            std::vector<std::string>{"endpoints/node-not-found"});
  EXPECT_EQ(findings[0].ToString(),
            "warning endpoints/node-not-found: Service default/web "
            "spec.selector: Pod a is on node \"gone\", which is not in the "
            "cluster: it is left out of the EndpointSlices");
}

TEST(EndpointSlices, SelectorMatchesWholeValuesInItsNamespace) {
  Service s = MakeService();
  s.spec.selector = {{"app", "web"}, {"tier", ""}};
  Pod both = MakePod("both", "n1", "10.0.0.1");
  both.metadata.labels["tier"] = "";
  Pod other = both;
  other.metadata.name = "other";
  other.metadata.namespace_ = "elsewhere";
  EXPECT_EQ(SettledSlices(
                MakeCluster(s, both, other, MakePod("one", "n1", "10.0.0.2"))),
            "web IPv4 [http=8080/TCP] both:10.0.0.1@z1\n");
}

TEST(EndpointSlices, HostnameOnlyBelowTheServicesOwnName) {
  Pod a = MakePod("a", "n1", "10.0.0.1");
  a.spec.hostname = "h";
  a.spec.subdomain = "web";
  Pod b = MakePod("b", "n1", "10.0.0.2");
  b.spec.hostname = "h";
  b.spec.subdomain = "other";
  const Cluster settled = ReconcileEndpoints(MakeCluster(MakeService(), a, b));
  EXPECT_EQ(Slices(settled),
            "web IPv4 [http=8080/TCP] a:10.0.0.1@z1#h b:10.0.0.2@z1\n");
  const Endpoints& e = *settled.endpoints().begin();
  EXPECT_EQ(e.subsets[0].addresses[0].hostname, "h");
  EXPECT_EQ(e.subsets[0].addresses[1].hostname, "");
}

TEST(EndpointSlices, HostNetworkPodsShareAnAddress) {
  const Cluster settled = ReconcileEndpoints(
      MakeCluster(MakeService(), MakePod("a", "n1", "172.18.0.2"),
                  MakePod("b", "n1", "172.18.0.2")));
  EXPECT_EQ(Slices(settled),
            "web IPv4 [http=8080/TCP] a:172.18.0.2@z1 b:172.18.0.2@z1\n");
  EXPECT_EQ(Legacy(settled), "web\n  [http=8080/TCP] 172.18.0.2 172.18.0.2\n");
}

TEST(EndpointSlices, NothingForExternalNameOrWithoutSelector) {
  Service external = MakeService("external");
  external.spec.type = ServiceType::kExternalName;
  Service manual = MakeService("manual");
  manual.spec.selector.clear();
  const Cluster settled = ReconcileEndpoints(
      MakeCluster(external, manual, MakePod("a", "n1", "10.0.0.1")));
  EXPECT_EQ(Slices(settled), "");
  EXPECT_EQ(Legacy(settled), "");
}

// --- Families ---

TEST(EndpointSlices, DualStackHasSlicesOfBothFamilies) {
  Service s = MakeService();
  s.spec.ip_families = {IpFamily::kIpv6, IpFamily::kIpv4};
  const Cluster settled =
      ReconcileEndpoints(MakeCluster(s, MakePod("a", "n1", "10.0.0.1,fd00::1"),
                                     MakePod("b", "n1", "10.0.0.2")));
  EXPECT_EQ(Slices(settled),
            "web IPv4 [http=8080/TCP] a:10.0.0.1@z1 b:10.0.0.2@z1\n"
            "web IPv6 [http=8080/TCP] a:fd00::1@z1\n");
  // Endpoints are of the first family alone.
  EXPECT_EQ(Legacy(settled), "web\n  [http=8080/TCP] fd00::1\n");
}

TEST(EndpointSlices, WithoutFamiliesTheClusterIpDecides) {
  Service six = MakeService("six");
  six.spec.ip_families.clear();
  six.spec.cluster_ip = "fd00:96::1";
  Service headless = MakeService("headless");
  headless.spec.ip_families.clear();
  headless.spec.cluster_ip = "None";
  EXPECT_EQ(SettledSlices(MakeCluster(six, headless,
                                      MakePod("a", "n1", "10.0.0.1,fd00::1"))),
            "headless IPv4 [http=8080/TCP] a:10.0.0.1@z1\n"
            "headless IPv6 [http=8080/TCP] a:fd00::1@z1\n"
            "six IPv6 [http=8080/TCP] a:fd00::1@z1\n");
}

// --- Ports ---

TEST(EndpointSlices, NamedPortsThatDifferMakeSeveralSlices) {
  Pod b = MakePod("b", "n1", "10.0.0.2");
  b.spec.containers[0].ports[0].container_port = 9090;
  const Cluster settled = ReconcileEndpoints(MakeCluster(
      WithNamedPort(MakeService()), MakePod("a", "n1", "10.0.0.1"), b));
  EXPECT_EQ(Slices(settled),
            "web IPv4 [http=8080/TCP] a:10.0.0.1@z1\n"
            "web IPv4 [http=9090/TCP] b:10.0.0.2@z1\n");
  EXPECT_EQ(Legacy(settled),
            "web\n  [http=8080/TCP] 10.0.0.1\n  [http=9090/TCP] 10.0.0.2\n");
}

TEST(EndpointSlices, MissingNamedPortLeavesAnEndpointWithoutPorts) {
  std::vector<Finding> findings;
  const Cluster settled =
      ReconcileEndpoints(MakeCluster(WithNamedPort(MakeService(), "grpc"),
                                     MakePod("a", "n1", "10.0.0.1")),
                         {}, &findings);
  EXPECT_EQ(Slices(settled), "web IPv4 [] a:10.0.0.1@z1\n");
  EXPECT_EQ(Legacy(settled), "web\n");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].ToString(),
            "warning endpoints/named-port-not-found: Service default/web "
            "spec.ports[0].targetPort: 1 of 1 Pods (a) have no TCP port named "
            "\"grpc\"");
}

TEST(EndpointSlices, NamedPortMustBeOfTheProtocol) {
  Service s = WithNamedPort(MakeService());
  s.spec.ports[0].protocol = Protocol::kUdp;
  EXPECT_EQ(SettledSlices(MakeCluster(s, MakePod("a", "n1", "10.0.0.1"))),
            "web IPv4 [] a:10.0.0.1@z1\n");
}

TEST(EndpointSlices, SidecarPortsCountByRelease) {
  Pod a = MakePod("a", "n1", "10.0.0.1");
  a.spec.init_containers = {
      {"proxy", "image", {NamedPort("mesh", 15000)}, "Always"},
      {"setup", "image", {NamedPort("setup", 1)}, std::nullopt}};
  const Cluster cluster = MakeCluster(WithNamedPort(MakeService(), "mesh"), a);
  const std::string without = "web IPv4 [] a:10.0.0.1@z1\n";
  const std::string with = "web IPv4 [http=15000/TCP] a:10.0.0.1@z1\n";
  const std::string legacy = "web\n  [http=15000/TCP] 10.0.0.1\n";
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(30)), without);
  EXPECT_EQ(SettledLegacy(cluster, Options::ForRelease(30)), "web\n");
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(32)), without);
  EXPECT_EQ(SettledLegacy(cluster, Options::ForRelease(32)), legacy);
  EXPECT_EQ(SettledSlices(cluster, Options::ForRelease(33)), with);
  EXPECT_EQ(SettledLegacy(cluster, Options::ForRelease(33)), legacy);
  // An ordinary init container has ended when the Pod runs.
  EXPECT_EQ(SettledSlices(MakeCluster(WithNamedPort(MakeService(), "setup"), a),
                          Options::ForRelease(33)),
            without);
}

TEST(EndpointSlices, ServiceWithoutPorts) {
  Service headless = MakeService("headless");
  headless.spec.ports.clear();
  headless.spec.cluster_ip = "None";
  Service cluster_ip = MakeService("clusterip");
  cluster_ip.spec.ports.clear();
  const Cluster settled = ReconcileEndpoints(
      MakeCluster(headless, cluster_ip, MakePod("a", "n1", "10.0.0.1")));
  EXPECT_EQ(Slices(settled),
            "clusterip IPv4 [] a:10.0.0.1@z1\n"
            "headless IPv4 [] a:10.0.0.1@z1\n");
  EXPECT_EQ(Legacy(settled), "clusterip\nheadless\n  [] 10.0.0.1\n");
}

// --- The objects around the endpoints ---

TEST(EndpointSlices, NamesLabelsAndOwner) {
  Service s = MakeService();
  s.metadata.labels = {{"team", "a"}, {"kubernetes.io/service-name", "liar"}};
  s.metadata.creation_timestamp = "2024-05-01T12:00:00+02:00";
  const Cluster settled =
      ReconcileEndpoints(MakeCluster(s, MakePod("a", "n1", "10.0.0.1")));
  const ObjectMeta& meta = OnlySlice(settled).metadata;
  EXPECT_EQ(meta.generate_name, "web-");
  EXPECT_EQ(meta.name.substr(0, 4), "web-");
  EXPECT_EQ(meta.name.size(), 9u);
  EXPECT_EQ(meta.labels, (StringMap{{"team", "a"},
                                    {"kubernetes.io/service-name", "web"},
                                    {"endpointslice.kubernetes.io/managed-by",
                                     "endpointslice-controller.k8s.io"}}));
  ASSERT_EQ(meta.owner_references.size(), 1u);
  EXPECT_EQ(meta.owner_references[0].uid, "uid-web");
  EXPECT_EQ(meta.annotations,
            (StringMap{{"endpoints.kubernetes.io/last-change-trigger-time",
                        "2024-05-01T10:00:00Z"}}));
  EXPECT_EQ(settled.endpoints().begin()->metadata.annotations,
            meta.annotations);
}

TEST(EndpointSlices, HeadlessLabelAlsoWhileThereIsNoClusterIp) {
  for (const char* ip : {"None", ""}) {
    Service s = MakeService();
    s.spec.cluster_ip = ip;
    const Cluster settled =
        ReconcileEndpoints(MakeCluster(s, MakePod("a", "n1", "10.0.0.1")));
    EXPECT_TRUE(OnlySlice(settled).metadata.labels.contains(kHeadlessLabel));
    EXPECT_TRUE(
        settled.endpoints().begin()->metadata.labels.contains(kHeadlessLabel));
  }
}

TEST(EndpointSlices, EmptyServiceHasAPlaceholderForEachFamily) {
  Service s = MakeService();
  s.spec.ip_families = {IpFamily::kIpv4, IpFamily::kIpv6};
  EXPECT_EQ(SettledSlices(MakeCluster(s)), "web IPv4 []\nweb IPv6 []\n");
}

TEST(EndpointSlices, ServiceBeingDeletedGetsNoNewSlices) {
  Service s = MakeService();
  s.metadata.deletion_timestamp = "2024-05-01T10:00:00Z";
  EXPECT_EQ(SettledSlices(MakeCluster(s, MakePod("a", "n1", "10.0.0.1"))), "");
}

// --- Sizes ---

std::multiset<size_t> SliceSizes(const Cluster& cluster) {
  std::multiset<size_t> sizes;
  for (const EndpointSlice& s : cluster.endpoint_slices()) {
    sizes.insert(s.endpoints.size());
  }
  return sizes;
}

TEST(EndpointSlices, SplitAtAHundred) {
  using Sizes = std::multiset<size_t>;
  EXPECT_EQ(SliceSizes(ReconcileEndpoints(ClusterOf(100))), Sizes{100});
  EXPECT_EQ(SliceSizes(ReconcileEndpoints(ClusterOf(101))), (Sizes{1, 100}));
  EXPECT_EQ(SliceSizes(ReconcileEndpoints(ClusterOf(250))),
            (Sizes{50, 100, 100}));
  Options options;
  options.max_endpoints_per_slice = 3;
  EXPECT_EQ(SliceSizes(ReconcileEndpoints(ClusterOf(7), options)),
            (Sizes{1, 3, 3}));
  options.max_endpoints_per_slice = 0;  // counts as 1
  EXPECT_EQ(SliceSizes(ReconcileEndpoints(ClusterOf(2), options)),
            (Sizes{1, 1}));
}

// --- After a restart: slices that are there ---

class Restart : public ::testing::Test {
 protected:
  Restart()
      : cluster_(ReconcileEndpoints(
            MakeCluster(MakeService(), MakePod("a", "n1", "10.0.0.1"),
                        MakePod("b", "n2", "10.0.0.2")))),
        name_(OnlySlice(cluster_).metadata.name) {}

  void Settle(const Options& options = {}) {
    cluster_ = ReconcileEndpoints(cluster_, options);
  }

  Cluster cluster_;
  const std::string name_;
};

TEST_F(Restart, NothingChanges) {
  const Cluster before = cluster_;
  Settle();
  EXPECT_TRUE(Difference(before, cluster_).empty());
}

TEST_F(Restart, GoneEndpointMakesRoomInItsSlice) {
  cluster_.RemovePod({"default", "a"});
  cluster_.Put(MakePod("c", "n3", "10.0.0.3"));
  Settle();
  EXPECT_EQ(Slices(cluster_),
            "web IPv4 [http=8080/TCP] b:10.0.0.2@z2 c:10.0.0.3@z3\n");
  EXPECT_EQ(OnlySlice(cluster_).metadata.name, name_);
}

TEST_F(Restart, UnchangedSliceIsFilledIfAllFits) {
  Options options;
  options.max_endpoints_per_slice = 4;
  cluster_.Put(MakePod("c", "n3", "10.0.0.3"));
  Settle(options);
  EXPECT_EQ(SliceSizes(cluster_), (std::multiset<size_t>{3}));
  // Two more do not fit, and what is full enough is left alone.
  cluster_.Put(MakePod("d", "n3", "10.0.0.4"));
  cluster_.Put(MakePod("e", "n3", "10.0.0.5"));
  Settle(options);
  EXPECT_EQ(SliceSizes(cluster_), (std::multiset<size_t>{2, 3}));
}

TEST_F(Restart, OtherPortsReuseTheSlice) {
  Service s = MakeService();
  s.spec.ports[0].target_port = 9999;
  cluster_.Put(s);
  Settle();
  EXPECT_EQ(Slices(cluster_),
            "web IPv4 [http=9999/TCP] a:10.0.0.1@z1 b:10.0.0.2@z2\n");
  EXPECT_EQ(OnlySlice(cluster_).metadata.name, name_);
}

TEST_F(Restart, LastPodGoneReusesTheSliceAsPlaceholder) {
  cluster_.RemovePod({"default", "a"});
  cluster_.RemovePod({"default", "b"});
  Settle();
  EXPECT_EQ(Slices(cluster_), "web IPv4 []\n");
  EXPECT_EQ(OnlySlice(cluster_).metadata.name, name_);
}

TEST_F(Restart, LabelsFollowTheService) {
  Service s = MakeService();
  s.metadata.labels["new"] = "label";
  cluster_.Put(s);
  Settle();
  EXPECT_EQ(Find(OnlySlice(cluster_).metadata.labels, "new"), "label");
  EXPECT_EQ(OnlySlice(cluster_).metadata.name, name_);
}

TEST_F(Restart, FamilyGone) {
  Service s = MakeService();
  s.spec.ip_families = {IpFamily::kIpv6};
  cluster_.Put(s);
  Settle();
  EXPECT_EQ(Slices(cluster_), "web IPv6 []\n");
}

TEST_F(Restart, SlicesOfOthersStayAndThoseOfAnEarlierServiceGo) {
  EndpointSlice custom = OnlySlice(cluster_);
  custom.metadata.name = "custom";
  custom.metadata.labels[kSliceManagedByLabel] = "me.example.com";
  Service reborn = MakeService();
  reborn.metadata.uid = "another";
  cluster_.Put(custom);
  cluster_.Put(reborn);
  Settle();
  EXPECT_EQ(cluster_.endpoint_slices().size(), 2u);
  EXPECT_NE(cluster_.endpoint_slices().Find("default", "custom"), nullptr);
  EXPECT_EQ(cluster_.endpoint_slices().Find("default", name_), nullptr);
}

TEST_F(Restart, SliceBeingDeletedIsNotCountedOn) {
  EndpointSlice dying = OnlySlice(cluster_);
  dying.metadata.deletion_timestamp = "2024-05-01T10:00:00Z";
  cluster_.Put(dying);
  Settle();
  EXPECT_EQ(SliceSizes(cluster_), (std::multiset<size_t>{2, 2}));
}

}  // namespace
}  // namespace k8sdns::endpoints_test
