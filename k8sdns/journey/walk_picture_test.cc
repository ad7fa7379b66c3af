#include "k8sdns/journey/walk_picture.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/testing/cluster_builder.h"

namespace k8sdns::journey {
namespace {

using fabric::Place;
using testing::ClusterBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Walk FromClient(int endpoints) {
  ClusterBuilder b;
  b.AddNode("a", "172.18.0.11", "10.244.1.0/24")
      .AddNode("b", "172.18.0.12", "10.244.2.0/24")
      .AddPod("client", "a", "10.244.1.5");
  b.AddService("web", "10.96.0.20").Port("http", 80, 8080);
  for (int i = 0; i < endpoints; ++i) {
    const std::string ip = absl::StrCat("10.244.2.", 10 + i);
    b.AddPod(absl::StrCat("web-", i), "b", ip).AddEndpoint(ip, "b");
  }
  const Cluster cluster = b.Build();
  WorldOptions options;
  options.proxy.cluster_cidr = "10.244.0.0/16";
  options.fabric.network = fabric::NetworkKind::kCalicoIpip;
  auto walk = TakeWalkTo(cluster, options, Place::OfPod("default", "client"),
                         Packet::Tcp(*SocketAddress::Parse("10.244.1.5:40000"),
                                     *SocketAddress::Parse("10.96.0.20:80")));
  EXPECT_TRUE(walk.ok()) << walk.status();
  return *std::move(walk);
}

std::vector<std::string> Titles(const diagram::Diagram& d) {
  std::vector<std::string> out;
  for (const diagram::Box& box : d.boxes) {
    out.push_back(absl::StrCat(d.lanes[box.lane], ": ", box.title));
  }
  return out;
}

TEST(WalkPictureTest, OneEndpointIsOneWayThereAndBack) {
  const diagram::Diagram d = DiagramOf(FromClient(1));
  EXPECT_EQ(d.title, "From pod default/client to 10.96.0.20:80");
  EXPECT_THAT(d.lanes, ElementsAre("pod default/client", "node a", "node b",
                                   "Pod default/web-0"));
  EXPECT_THAT(
      Titles(d),
      ElementsAre("pod default/client: sends",              //
                  "node a: nat PREROUTING",                 //
                  "node a: nat KUBE-SERVICES",              //
                  "node a: nat KUBE-SVC-CDGGSHYLG3RE2FKL",  //
                  "node a: nat KUBE-SEP-IQIBSY2R4USWK4F3",  //
                  "node a: destination 10.96.0.20:80 -> 10.244.2.10:8080",
                  "node a: filter FORWARD",        //
                  "node a: nat POSTROUTING",       //
                  "node a: nat KUBE-POSTROUTING",  //
                  "node a: route",                 //
                  "node b: nat PREROUTING",        //
                  "node b: filter FORWARD",        //
                  "node b: nat POSTROUTING",       //
                  "node b: nat KUBE-POSTROUTING",  //
                  "node b: route",                 //
                  "Pod default/web-0: arrives",
                  "node b: filter FORWARD",       //
                  "node b: filter KUBE-FORWARD",  //
                  "node b: route",                //
                  "node a: filter FORWARD",       //
                  "node a: filter KUBE-FORWARD",  //
                  "node a: source 10.244.2.10:8080 -> 10.96.0.20:80",
                  "node a: route",  //
                  "pod default/client: the reply arrives"));
  const std::string mermaid = diagram::ToMermaid(d);
  EXPECT_THAT(mermaid, HasSubstr("|\"tunl0, wire\"|"));
  EXPECT_THAT(mermaid, HasSubstr("-.->"));
}

TEST(WalkPictureTest, WaysPartWhereTheyDiffer) {
  const diagram::Diagram d = DiagramOf(FromClient(6));
  int starts = 0;
  int arrivals = 0;
  for (const diagram::Box& box : d.boxes) {
    starts += box.title == "sends";
    arrivals += box.title == "arrives";
  }
  EXPECT_EQ(starts, 1);
  EXPECT_EQ(arrivals, 4);
  EXPECT_EQ(d.boxes.back().title, "2 other ways, 33.33%");
  EXPECT_THAT(diagram::ToDot(d), HasSubstr("16.67%"));
}

TEST(WalkPictureTest, APageHasThePictureAndTheText) {
  const std::string page = WalkToHtml(FromClient(1));
  EXPECT_THAT(page, HasSubstr("<svg "));
  EXPECT_THAT(page, HasSubstr("the reply arrives: TCP 10.96.0.20:80 &gt; "
                              "10.244.1.5:40000"));
}

}  // namespace
}  // namespace k8sdns::journey
