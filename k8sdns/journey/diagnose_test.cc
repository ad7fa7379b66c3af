#include "k8sdns/journey/diagnose.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using testing::ClusterBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClusterBuilder Nodes() {
  ClusterBuilder b;
  b.AddNode("node-1", "172.18.0.11", "10.244.1.0/24")
      .AddNode("node-2", "172.18.0.12", "10.244.2.0/24");
  return b;
}

RoutingCheckOptions Options() {
  RoutingCheckOptions o;
  o.proxy.cluster_cidr = "10.244.0.0/16";
  o.service_cidrs = {*IpPrefix::Parse("10.96.0.0/16")};
  return o;
}

std::vector<std::string> Ids(const Cluster& cluster,
                             const RoutingCheckOptions& options = Options()) {
  std::vector<std::string> out;
  for (const Finding& f : CheckRouting(cluster, options)) out.push_back(f.id);
  return out;
}

ClusterBuilder Web(absl::string_view vip = "10.96.0.20") {
  ClusterBuilder b = Nodes();
  b.AddService("web", vip).Port("http", 80, 8080);
  return b;
}

TEST(DiagnoseTest, AHealthyClusterHasNoFindings) {
  EXPECT_THAT(Ids(Web().AddEndpoint("10.244.1.5", "node-1").Build()),
              IsEmpty());
}

TEST(DiagnoseTest, NoEndpointsAndNoneReady) {
  EXPECT_THAT(Ids(Web().Build()), ElementsAre("routing/no-endpoints"));
  EXPECT_THAT(Ids(Web().AddEndpoint("10.244.1.5", "node-1", false).Build()),
              ElementsAre("routing/none-ready"));
}

TEST(DiagnoseTest, PortsThatNobodyServes) {
  Cluster c = Web().AddEndpoint("10.244.1.5", "node-1").Build();
  EndpointSlice slice = *c.SlicesOf("default", "web")[0];
  slice.ports[0].name = "web";
  c.Put(slice);
  EXPECT_THAT(Ids(c), ElementsAre("routing/port-unserved"));
}

TEST(DiagnoseTest, TargetPortNamesThatNoPodHas) {
  Cluster c = Web().AddEndpoint("10.244.1.5", "node-1").Build();
  Service s = *c.services().Find("default", "web");
  s.spec.selector = {{"app", "web"}};
  s.spec.ports[0].target_port = std::string("http");
  c.Put(s);
  Pod pod;
  pod.metadata.namespace_ = "default";
  pod.metadata.name = "web-1";
  pod.metadata.labels = {{"app", "web"}};
  pod.status.pod_ip = "10.244.1.5";
  pod.spec.containers.push_back({"c", "", {}, std::nullopt});
  c.Put(pod);
  EXPECT_THAT(Ids(c), ElementsAre("routing/target-port-missing"));
  pod.spec.containers[0].ports.push_back({"http", 8080, 0, "", Protocol::kTcp});
  c.Put(pod);
  EXPECT_THAT(Ids(c), IsEmpty());
}

TEST(DiagnoseTest, AddressesOutsideOrTwice) {
  EXPECT_THAT(Ids(Web("10.97.0.1").AddEndpoint("10.244.1.5", "node-1").Build()),
              ElementsAre("routing/vip-outside-cidr"));
  EXPECT_THAT(
      Ids(Web()
              .NodePort(30080)
              .AddEndpoint("10.244.1.5", "node-1")
              .AddService("web2", "10.96.0.20")
              .Port("http", 80, 8080)
              .NodePort(30080)
              .AddEndpoint("10.244.1.6", "node-1")
              .Build()),
      ElementsAre("routing/duplicate-vip", "routing/duplicate-node-port"));
}

TEST(DiagnoseTest, NetworksThatOverlapOrDoNotCover) {
  const Cluster c = Nodes().Build();
  RoutingCheckOptions o = Options();
  o.service_cidrs = {*IpPrefix::Parse("10.244.128.0/17")};
  EXPECT_THAT(Ids(c, o), ElementsAre("routing/overlapping-cidrs"));
  o = Options();
  o.proxy.cluster_cidr = "10.244.1.0/24";
  EXPECT_THAT(Ids(c, o), ElementsAre("routing/pod-cidr-outside"));
  o.proxy.cluster_cidr = "";
  EXPECT_THAT(Ids(c, o), ElementsAre("routing/no-masquerade"));
  o.proxy.cluster_cidr = "172.18.0.8/29,10.244.0.0/16";
  EXPECT_THAT(Ids(c, o), ElementsAre("routing/overlapping-cidrs",
                                     "routing/overlapping-cidrs"));
}

TEST(DiagnoseTest, LocalPolicyNamesTheNodesThatDrop) {
  const Cluster c = Web()
                        .NodePort(30080)
                        .ExternalPolicy(TrafficPolicy::kLocal)
                        .ClientIpAffinity()
                        .AddEndpoint("10.244.1.5", "node-1")
                        .Build();
  const std::vector<Finding> found = CheckRouting(c, Options());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].id, "routing/local-black-hole");
  EXPECT_THAT(found[0].what, HasSubstr("no ready endpoint on node-2"));
  EXPECT_EQ(found[1].id, "routing/affinity-local");
}

TEST(DiagnoseTest, SourceRanges) {
  Cluster c = Web()
                  .LoadBalancer("203.0.113.9")
                  .AddEndpoint("10.244.1.5", "node-1")
                  .Build();
  Service s = *c.services().Find("default", "web");
  s.spec.load_balancer_source_ranges = {"198.51.100.0/24", "10.0.0.0"};
  c.Put(s);
  EXPECT_THAT(Ids(c), ElementsAre("routing/source-range-invalid",
                                  "routing/source-ranges-nodes"));
  s.spec.load_balancer_source_ranges = {" 172.18.0.0/16"};
  c.Put(s);
  EXPECT_THAT(Ids(c), IsEmpty());
}

TEST(DiagnoseTest, EndpointsOfPodsThatAreGone) {
  Cluster c = Web().AddEndpoint("10.244.1.5", "node-1").Build();
  EndpointSlice slice = *c.SlicesOf("default", "web")[0];
  slice.endpoints[0].target_ref =
      ObjectReference{"Pod", "default", "web-1", ""};
  c.Put(slice);
  EXPECT_THAT(Ids(c), IsEmpty());  // without Pods nothing can be said
  Pod other;
  other.metadata.namespace_ = "default";
  other.metadata.name = "other";
  other.status.pod_ip = "10.244.1.9";
  c.Put(other);
  EXPECT_THAT(Ids(c), ElementsAre("routing/endpoint-no-pod"));
}

}  // namespace
}  // namespace k8sdns::journey
