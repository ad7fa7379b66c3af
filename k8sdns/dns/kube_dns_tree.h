// The tree of records that kube-dns keeps: domain, `svc`, namespaces, Services,
// and below a Service its protocols and ports. Private to k8sdns/dns.
//
// kube-dns stores every record; here a Service's records are made when they are
// asked for, so that the tree costs an entry a Service. Facts: kube-dns 1.26
// pkg/dns (dns.go, treecache, util).
#ifndef K8SDNS_DNS_KUBE_DNS_TREE_H_
#define K8SDNS_DNS_KUBE_DNS_TREE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/dns/name_arena.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// A stored record (skydns msg.Service).
struct TreeRecord {
  std::optional<IpAddress> address;
  std::string host;  // a name, if it is not an address
  int32_t port = 0;
  // The record's own name, where names are wanted; empty for Pods, which have
  // none.
  std::string own_name;
};

// Whether TreeRecord::own_name is needed; it costs a hash and a text a record.
enum class OwnNames { kNo, kYes };

class KubeDnsTree {
 public:
  // `domain` is normalised. Keeps the objects alive that it needs.
  KubeDnsTree(const Cluster& cluster, std::string domain);

  const std::string& domain() const { return domain_; }
  size_t domain_labels() const { return domain_path_.size(); }

  // The records at a path of labels from the root down ("local", "cluster",
  // "svc", ...); `*` stands for any label not beginning with an underscore.
  std::vector<TreeRecord> Find(absl::Span<const absl::string_view> path,
                               OwnNames own_names) const;
  // The one record whose entry the path ends on.
  std::optional<TreeRecord> FindExact(
      absl::Span<const absl::string_view> path) const;
  // The name of what has the address, given as Go prints it.
  const std::string* FindReverse(absl::string_view address) const;

 private:
  struct ServiceRef {
    const Service* service = nullptr;
    const Endpoints* endpoints = nullptr;  // headless only
    // Cluster IPs; nullopt: a text that is no address.
    absl::InlinedVector<std::optional<IpAddress>, 1> addresses;
  };
  struct NamespaceNode {
    // Both by Service name.
    absl::flat_hash_map<absl::string_view, ServiceRef> services;
    absl::flat_hash_map<absl::string_view, const Service*> external;
  };
  // A place in the tree.
  struct Node {
    enum class Level { kDomain, kSvc, kNamespace, kService, kProtocol, kPort };
    Level level = Level::kDomain;
    size_t depth = 0;  // kDomain: labels of the domain so far
    const NamespaceNode* namespace_ = nullptr;
    const ServiceRef* service = nullptr;
    absl::string_view protocol;  // "_tcp"
    absl::string_view port;      // "_http"
  };
  struct Entry {
    std::string key;
    TreeRecord record;
  };

  void AddService(const ObjectSet<Service>::Pointer& service,
                  const Cluster& cluster);
  std::optional<Node> Child(const Node& node, absl::string_view label) const;
  std::vector<Node> VisibleChildren(const Node& node) const;
  std::vector<Entry> Entries(const Node& node) const;
  // The records of Entries(), appended to `records`.
  void AddRecords(const Node& node, OwnNames own_names,
                  std::vector<TreeRecord>& records) const;
  std::optional<TreeRecord> FindEntry(const Node& node,
                                      absl::string_view key) const;
  bool HasPort(const ServiceRef& ref, absl::string_view protocol,
               absl::string_view port) const;
  void AddPortalEntries(const Node& node, std::vector<Entry>& entries) const;
  void AddHeadlessEntries(const Node& node, std::vector<Entry>& entries) const;
  std::string NameOf(const Service& service) const;

  std::string domain_;
  std::vector<std::string> domain_path_;  // from the root down
  std::vector<std::shared_ptr<const void>> objects_;
  NameArena names_;  // of Services, for keys
  absl::flat_hash_map<absl::string_view, NamespaceNode> namespaces_;
  absl::flat_hash_map<std::string, std::string> reverse_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_KUBE_DNS_TREE_H_
