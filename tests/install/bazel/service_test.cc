#include "gtest/gtest.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/testing/cluster_builder.h"

TEST(Service, IsInTheCluster) {
  const k8sdns::Cluster cluster = k8sdns::testing::ClusterBuilder()
                                      .AddService("web", "10.96.0.20")
                                      .Port("http", 80, 8080)
                                      .Build();
  ASSERT_NE(cluster.services().Find("default", "web"), nullptr);
}
