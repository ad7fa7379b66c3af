#include "k8sdns/cluster/cluster.h"

#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/finding.h"

namespace k8sdns {
namespace {

using ::testing::ElementsAre;

Service MakeService(std::string ns, std::string name) {
  Service s;
  s.metadata.namespace_ = std::move(ns);
  s.metadata.name = std::move(name);
  return s;
}

EndpointSlice MakeSlice(std::string name, std::string service) {
  EndpointSlice s;
  s.metadata.namespace_ = "default";
  s.metadata.name = std::move(name);
  s.metadata.labels[kServiceNameLabel] = std::move(service);
  return s;
}

std::vector<std::string> Names(const Cluster& cluster) {
  std::vector<std::string> out;
  for (const Service& s : cluster.services()) {
    out.push_back(s.metadata.namespace_ + "/" + s.metadata.name);
  }
  return out;
}

std::vector<std::string> SliceNames(const Cluster& cluster,
                                    absl::string_view service) {
  std::vector<std::string> out;
  for (const EndpointSlice* s : cluster.SlicesOf("default", service)) {
    out.push_back(s->metadata.name);
  }
  return out;
}

TEST(ClusterTest, ObjectsComeByNamespaceAndName) {
  Cluster c;
  c.Put(MakeService("b", "a"));
  c.Put(MakeService("a", "z"));
  c.Put(MakeService("a", "b"));
  EXPECT_THAT(Names(c), ElementsAre("a/b", "a/z", "b/a"));
  EXPECT_TRUE(c.RemoveService({"a", "z"}));
  EXPECT_FALSE(c.RemoveService({"a", "z"}));
  EXPECT_THAT(Names(c), ElementsAre("a/b", "b/a"));
}

TEST(ClusterTest, SlicesFollowTheirLabelWhenItChanges) {
  Cluster c;
  c.Put(MakeSlice("web-2", "web"));
  c.Put(MakeSlice("web-1", "web"));
  c.Put(MakeSlice("other", "other"));
  EXPECT_THAT(SliceNames(c, "web"), ElementsAre("web-1", "web-2"));
  c.Put(MakeSlice("web-1", "other"));
  EXPECT_THAT(SliceNames(c, "web"), ElementsAre("web-2"));
  EXPECT_THAT(SliceNames(c, "other"), ElementsAre("other", "web-1"));
  EXPECT_TRUE(c.RemoveEndpointSlice({"default", "web-1"}));
  EXPECT_THAT(SliceNames(c, "other"), ElementsAre("other"));
}

TEST(ClusterTest, SlicesByServiceStandInTheOrderOfServices) {
  Cluster c;
  c.Put(MakeSlice("z", "web"));
  c.Put(MakeSlice("a", "web"));
  c.Put(MakeSlice("b", "other"));
  std::vector<std::string> names;
  for (const EndpointSlice* s : c.SlicesByService()) {
    names.push_back(s->metadata.name);
  }
  EXPECT_THAT(names, ElementsAre("b", "a", "z"));
}

TEST(ClusterTest, DifferenceLeadsFromOneToTheOther) {
  Cluster a;
  a.Put(MakeService("default", "kept"));
  a.Put(MakeService("default", "gone"));
  a.Put(MakeSlice("s", "kept"));
  Cluster b = a;
  b.RemoveService({"default", "gone"});
  b.Put(MakeSlice("s", "new"));
  b.Put(MakeService("default", "new"));

  const std::vector<WatchEvent> events = Difference(a, b);
  EXPECT_EQ(events.size(), 3u);
  for (const WatchEvent& e : events) Apply(e, a);
  EXPECT_THAT(Names(a), ElementsAre("default/kept", "default/new"));
  EXPECT_THAT(SliceNames(a, "new"), ElementsAre("s"));
  EXPECT_TRUE(Difference(a, b).empty());
}

TEST(EndpointTest, UnsetConditionsHaveTheApisMeaning) {
  Endpoint e;
  EXPECT_TRUE(e.IsReady());
  EXPECT_TRUE(e.IsServing());
  EXPECT_FALSE(e.IsTerminating());
  e.ready = false;
  EXPECT_FALSE(e.IsServing());
}

TEST(FindingTest, SaysWhereAndWhat) {
  Finding f;
  f.id = "proxy/no-ports";
  f.kind = "Service";
  f.namespace_ = "default";
  f.name = "web";
  f.field = "spec.ports";
  f.what = "the list is empty";
  EXPECT_EQ(f.ToString(),
            "warning proxy/no-ports: Service default/web spec.ports: the list "
            "is empty");
}

}  // namespace
}  // namespace k8sdns
