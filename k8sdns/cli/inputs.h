// Files that flags name, read into the library's types. Private to the room.
#ifndef K8SDNS_CLI_INPUTS_H_
#define K8SDNS_CLI_INPUTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "k8sdns/cli/command.h"
#include "k8sdns/cluster/cluster.h"
#include "k8sdns/cluster/kube_proxy_config.h"
#include "k8sdns/cluster/kubelet_config.h"
#include "k8sdns/dns/kubelet_dns.h"
#include "k8sdns/fabric/fabric.h"
#include "k8sdns/ipvs/virtual_server.h"
#include "k8sdns/journey/name_lookup.h"
#include "k8sdns/net/packet.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/ruleset.h"
#include "k8sdns/proxy/dialect.h"

namespace k8sdns::cli {

// The whole file, or standard input for "-". Errors name the file.
absl::StatusOr<std::string> ReadInput(const std::string& file, Streams streams);

// All manifests of `files`, which may be folders (their *.yaml, *.yml and
// *.json, by name), as one cluster. A file with control characters is taken for
// a protobuf snapshot (snapshot.h). Slices and Endpoints that the controllers
// would have made and that the input lacks are derived.
absl::StatusOr<Cluster> LoadCluster(const std::vector<std::string>& files,
                                    Streams streams);

// The defaults if `file` is empty.
absl::StatusOr<KubeProxyConfig> LoadKubeProxyConfig(const std::string& file,
                                                    Streams streams);
absl::StatusOr<KubeletConfig> LoadKubeletConfig(const std::string& file,
                                                Streams streams);

// "namespace/name", or "name" in namespace default; nullptr if there is none.
const Pod* FindPod(const Cluster& cluster, absl::string_view name);

// What the kubelet of the Pod's node knows, from --kubelet and --resolv-conf.
// Without the latter the node's file is taken to be empty.
absl::StatusOr<dns::NodeDns> LoadNodeDns(const Args& args,
                                         const Cluster& cluster, const Pod& pod,
                                         Streams streams);

// From --server, --libc.
absl::StatusOr<std::optional<journey::DnsServerKind>> ReadDnsServer(
    const Args& args);
absl::StatusOr<dns::Library> ReadLibrary(const Args& args);

// From --dialect.
absl::StatusOr<proxy::Dialect> ReadDialect(const Args& args);

// From --network.
absl::StatusOr<fabric::FabricOptions> ReadFabricOptions(const Args& args);

// Dumps of a node: iptables-save (in the spelling of --variant), ipset save,
// ipvsadm -Sn. Matches and targets that are not known are kept as written.
absl::StatusOr<netfilter::Ruleset> LoadRules(const std::string& file,
                                             IpFamily family, const Args& args,
                                             Streams streams);
absl::StatusOr<netfilter::IpSets> LoadIpSets(const std::string& file,
                                             Streams streams);
absl::StatusOr<ipvs::Table> LoadIpvs(const std::string& file, Streams streams);
// "NAMESPACE/POD", "node:NAME", "outside", "outside:NODE". `flag` is named in
// errors.
absl::StatusOr<fabric::Place> ReadPlace(absl::string_view flag,
                                        absl::string_view text,
                                        const Cluster& cluster);
// "ADDRESS:PORT", "ADDRESS:PORT/PROTOCOL", or an address alone (a ping);
// nullopt if it is none of these.
std::optional<Packet> ReadTarget(absl::string_view text);
// The first packet from there to `target`: from `source`, or if that is empty
// from the place's own address (outside: 203.0.113.7 or 2001:db8::7).
absl::StatusOr<Packet> PacketFrom(const fabric::Place& place,
                                  const Cluster& cluster, Packet target,
                                  absl::string_view source);

// The flag as a number; an error names the flag and the range.
absl::StatusOr<int64_t> ReadInt(const Args& args, absl::string_view flag,
                                int64_t least, int64_t most);
absl::StatusOr<double> ReadNumber(const Args& args, absl::string_view flag,
                                  double least, double most);

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_INPUTS_H_
