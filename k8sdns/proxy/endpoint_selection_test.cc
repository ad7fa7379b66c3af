#include "k8sdns/proxy/endpoint_selection.h"

#include <algorithm>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace k8sdns::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Endpoints in shorthand: "10.0.0.1 RST L z=a" is an endpoint that is ready,
// serving, terminating, on this node, with a hint for zone a.
Endpoint Read(const std::string& text) {
  Endpoint e;
  const size_t blank = text.find(' ');
  e.addresses = {text.substr(0, blank)};
  const std::string rest = blank == std::string::npos ? "" : text.substr(blank);
  e.ready = rest.find('R') != std::string::npos;
  e.serving = rest.find('S') != std::string::npos;
  e.terminating = rest.find('T') != std::string::npos;
  if (rest.find('L') != std::string::npos) e.node_name = "here";
  if (size_t at = rest.find("z="); at != std::string::npos) {
    e.hints_for_zones = {{rest.substr(at + 2, 1)}};
  }
  if (size_t at = rest.find("n="); at != std::string::npos) {
    e.hints_for_nodes = {{rest.substr(at + 2, 4)}};
  }
  return e;
}

class EndpointSelectionTest : public ::testing::Test {
 protected:
  EndpointSelectionTest() {
    zones_.SetOwn("a");
    nodes_.SetOwn("here");
    port_.port_name = "http";
    reader_.node_name = "here";
    reader_.zone_hints = &zones_;
    reader_.node_hints = &nodes_;
    reader_.findings = &findings_;
  }

  void AddSlice(const std::vector<std::string>& endpoints) {
    EndpointSlice slice;
    slice.metadata.labels[kServiceNameLabel] = "web";
    EndpointPort http;
    http.name = "http";
    http.port = 80;
    slice.ports = {http};
    for (const std::string& e : endpoints) slice.endpoints.push_back(Read(e));
    CompactSlice compact;
    ASSERT_TRUE(reader_.ReadSlice(slice, compact));
    slices_.push_back(compact);
  }

  // "cluster | local | reachable", addresses without the prefix 10.0.0.
  std::string Select() {
    EndpointList list;
    MergeEndpoints(slices_, "http", Protocol::kTcp, TraitsOf(Dialect::kV1_30),
                   list);
    SelectedEndpoints selected;
    CategorizeEndpoints(list, port_, reader_.features, zones_, nodes_,
                        selected);
    has_endpoints_ = selected.has_endpoints;
    auto names = [&](const std::vector<uint32_t>& indexes) {
      std::vector<std::string> out;
      for (uint32_t i : indexes) {
        out.push_back(list.endpoints[i].address.ToString().substr(7));
      }
      return absl::StrJoin(out, ",");
    };
    return absl::StrCat(names(selected.cluster), "|", names(selected.local),
                        "|", names(selected.reachable));
  }

  HintSets zones_, nodes_;
  Findings findings_;
  EndpointReader reader_;
  ServicePortInfo port_;
  std::vector<CompactSlice> slices_;
  bool has_endpoints_ = false;
};

TEST_F(EndpointSelectionTest, ReadyOnesCount) {
  AddSlice({"10.0.0.1 RS", "10.0.0.2 S", "10.0.0.3 ST", "10.0.0.4 RS L"});
  EXPECT_EQ(Select(), "1,4||1,4");
}

TEST_F(EndpointSelectionTest, TheyAreSortedAsTextAndKeptOnce) {
  AddSlice({"10.0.0.2 RS", "10.0.0.10 RS", "10.0.0.3 RS"});
  AddSlice({"10.0.0.3 RS", "10.0.0.2 RS L"});
  EXPECT_EQ(Select(), "10,2,3||10,2,3");
  port_.internal_policy_local = true;
  EXPECT_EQ(Select(), "|2|2");
}

TEST_F(EndpointSelectionTest, TerminatingOnesAreTheLastResort) {
  AddSlice({"10.0.0.1 ST", "10.0.0.2 T", "10.0.0.3 S"});
  EXPECT_EQ(Select(), "1||1");
  AddSlice({"10.0.0.4 RS"});
  EXPECT_EQ(Select(), "4||4");
}

TEST_F(EndpointSelectionTest, EachPolicyFallsBackOnItsOwn) {
  port_.node_port = 30000;
  port_.external_policy_local = true;
  AddSlice({"10.0.0.1 RS", "10.0.0.2 ST L"});
  EXPECT_EQ(Select(), "1|2|1,2");
}

TEST_F(EndpointSelectionTest, RemoteEndpointsCountForExistenceOnly) {
  port_.internal_policy_local = true;
  AddSlice({"10.0.0.1 RS"});
  EXPECT_EQ(Select(), "||");
  EXPECT_TRUE(has_endpoints_);
  slices_.clear();
  EXPECT_EQ(Select(), "||");
  EXPECT_FALSE(has_endpoints_);
}

TEST_F(EndpointSelectionTest, HintsNeedTheAnnotationAndEveryReadyEndpoint) {
  AddSlice({"10.0.0.1 RS z=a", "10.0.0.2 RS z=b", "10.0.0.3 S"});
  EXPECT_EQ(Select(), "1,2||1,2");
  port_.hints_annotation = true;
  EXPECT_EQ(Select(), "1||1");
  zones_.SetOwn("c");
  EXPECT_EQ(Select(), "1,2||1,2");
  zones_.SetOwn("a");
  AddSlice({"10.0.0.4 RS"});
  EXPECT_EQ(Select(), "1,2,4||1,2,4");
}

// pkg/proxy/topology.go of Kubernetes 1.33 and later.
TEST_F(EndpointSelectionTest, NewerVersionsPreferTheSameNode) {
  reader_.features.prefer_same_node = true;
  AddSlice({"10.0.0.1 RS z=a n=here", "10.0.0.2 RS z=a n=away"});
  EXPECT_EQ(Select(), "1||1");
  nodes_.SetOwn("else");
  EXPECT_EQ(Select(), "1,2||1,2");  // the zone's
}

TEST_F(EndpointSelectionTest, UnsetConditionsAreReadyAndServing) {
  EndpointSlice slice;
  slice.metadata.labels[kServiceNameLabel] = "web";
  slice.endpoints.resize(1);
  slice.endpoints[0].addresses = {"10.0.0.1"};
  CompactSlice compact;
  ASSERT_TRUE(reader_.ReadSlice(slice, compact));
  EXPECT_EQ(compact.endpoints[0].flags,
            CompactEndpoint::kReady | CompactEndpoint::kServing);
}

TEST_F(EndpointSelectionTest, WhatCannotBeUsedIsAFinding) {
  EndpointSlice slice;
  slice.metadata.namespace_ = "default";
  slice.metadata.name = "web-1";
  CompactSlice compact;
  EXPECT_FALSE(reader_.ReadSlice(slice, compact));
  slice.metadata.labels[kServiceNameLabel] = "web";
  slice.ports.resize(1);
  slice.endpoints.resize(3);
  slice.endpoints[1].addresses = {"nonsense"};
  slice.endpoints[2].addresses = {"fd00::1"};
  EXPECT_TRUE(reader_.ReadSlice(slice, compact));
  EXPECT_THAT(compact.endpoints, IsEmpty());
  ASSERT_THAT(findings_, SizeIs(5));
  EXPECT_EQ(findings_[3].ToString(),
            "EndpointSlice default/web-1: endpoints[1].addresses[0]: "
            "\"nonsense\" is not an IPv4 address; the endpoint is skipped "
            "(refused)");
  slice.address_type = AddressType::kIpv6;
  EXPECT_FALSE(reader_.ReadSlice(slice, compact));
}

// Both ways of merging give the same endpoints, in their own orders.
TEST_F(EndpointSelectionTest, MergedByAddressTheyAreTheSame) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    slices_.clear();
    const unsigned count = random() % 4;
    for (unsigned s = 0; s < count; ++s) {
      std::vector<std::string> endpoints;
      const unsigned size = random() % 30;
      for (unsigned i = 0; i < size; ++i) {
        endpoints.push_back(absl::StrCat("10.0.", random() % 3, ".",
                                         random() % 120,
                                         random() % 3 == 0 ? " RSL" : " RS"));
      }
      AddSlice(endpoints);
    }
    EndpointList by_text, by_address;
    MergeEndpoints(slices_, "http", Protocol::kTcp, TraitsOf(Dialect::kV1_30),
                   by_text);
    MergeEndpointsByAddress(slices_, "http", Protocol::kTcp, by_address);
    const auto plain = [](const EndpointList& list) {
      std::vector<std::tuple<IpAddress, uint16_t, uint8_t>> out;
      for (const EndpointInfo& e : list.endpoints) {
        out.emplace_back(e.address, e.port, e.flags);
      }
      return out;
    };
    auto expected = plain(by_text);
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(plain(by_address), expected);
  }
}

// 1.14: no sorting, no deduplication, ready addresses only.
TEST_F(EndpointSelectionTest, EndpointsObjectsKeepTheirOrder) {
  Endpoints endpoints;
  endpoints.subsets.resize(1);
  EndpointSubset& subset = endpoints.subsets[0];
  subset.addresses = {{"10.0.0.2", "", "here", std::nullopt},
                      {"10.0.0.1", "", std::nullopt, std::nullopt}};
  subset.not_ready_addresses = {{"10.0.0.3", "", std::nullopt, std::nullopt}};
  subset.ports.resize(1);
  subset.ports[0].name = "http";
  subset.ports[0].port = 80;
  std::vector<CompactSlice> slices;
  reader_.ReadEndpoints(endpoints, slices);
  EndpointList list;
  MergeEndpoints(slices, "http", Protocol::kUdp, TraitsOf(Dialect::kV1_14),
                 list);
  ASSERT_THAT(list.endpoints, SizeIs(2));
  EXPECT_EQ(list.text(list.endpoints[0]), "10.0.0.2:80");
  EXPECT_TRUE(list.endpoints[0].local());
  EXPECT_EQ(list.text(list.endpoints[1]), "10.0.0.1:80");
}

}  // namespace
}  // namespace k8sdns::proxy
