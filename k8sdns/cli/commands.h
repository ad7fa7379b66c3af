// The commands by name, one a command_*.cc file. Private to the room.
#ifndef K8SDNS_CLI_COMMANDS_H_
#define K8SDNS_CLI_COMMANDS_H_

#include "k8sdns/cli/command.h"

namespace k8sdns::cli {

// Flags that several commands share, so that they read the same everywhere.
inline constexpr Flag kClusterFlag = {
    "file",
    'f',
    "FILE",
    "the cluster: what kubectl get svc,endpointslices,endpoints,pods,nodes "
    "-A -o yaml (or json) prints, or what generate writes (protobuf too)",
    "",
    true};
inline constexpr Flag kProxyConfigFlag = {"config", 'c', "FILE",
                                          "the node's KubeProxyConfiguration"};
inline constexpr Flag kKubeletConfigFlag = {"kubelet", 0, "FILE",
                                            "the node's KubeletConfiguration"};
inline constexpr Flag kHostResolvConfFlag = {"resolv-conf", 0, "FILE",
                                             "the node's own resolv.conf"};
inline constexpr Flag kOutputFlag = {"output", 'o', "FORMAT", "text or json",
                                     "text"};
inline constexpr Flag kPictureFlag = {
    "output", 'o', "FORMAT", "text, json, dot, mermaid, svg or html", "text"};

int RunResolvConf(const Args& args, Streams streams);
inline constexpr Flag kResolvConfFlags[] = {kClusterFlag, kKubeletConfigFlag,
                                            kHostResolvConfFlag};
inline constexpr Command kResolvConfCommand = {
    "resolv-conf",
    "what the kubelet writes into a Pod's /etc/resolv.conf",
    "NAMESPACE/POD",
    "k8sdns resolv-conf -f cluster.yaml --kubelet kubelet.yaml "
    "--resolv-conf /etc/resolv.conf default/web-0",
    kResolvConfFlags,
    &RunResolvConf};

inline constexpr Flag kDialectFlag = {
    "dialect", 0, "VERSION",
    "the kube-proxy whose rules are made: 1.11, 1.14 or 1.30", "1.30"};

int RunCompile(const Args& args, Streams streams);
inline constexpr Flag kCompileFlags[] = {
    kClusterFlag,
    kProxyConfigFlag,
    kDialectFlag,
    {"node", 'n', "NAME", "the node; else the configuration's own"},
    {"family", 0, "4|6", "the rules of IPv4 or of IPv6", "4"},
    {"mode", 0, "MODE", "iptables or ipvs; else the configuration's own"},
    {"emit", 'e', "WHAT",
     "save (as iptables-save prints), restore (for iptables-restore "
     "--noflush), explain (where each rule comes from), sysctls; in IPVS mode "
     "also ipvsadm, ipset, bound (addresses on kube-ipvs0)",
     "save"},
};
inline constexpr Command kCompileCommand = {
    "compile",
    "the rules that kube-proxy programs on a node",
    "",
    "k8sdns compile -f cluster.yaml -c kube-proxy.yaml --node node-1",
    kCompileFlags,
    &RunCompile};

inline constexpr Flag kFromFlag = {"from", 0, "NAMESPACE/POD",
                                   "the Pod that asks"};
inline constexpr Flag kLibcFlag = {
    "libc", 0, "LIBRARY",
    "the Pod's resolver: glibc/2.36, musl/1.1.24, musl/1.2.3, musl/1.2.5, "
    "go/1.22",
    "glibc/2.36"};
inline constexpr Flag kServerFlag = {
    "server", 0, "KIND",
    "coredns or kube-dns; told from the Pods' images if not given"};

inline constexpr Flag kNetworkFlag = {
    "network", 0, "KIND",
    "how Pods of different nodes reach each other: calico-ipip, calico-vxlan, "
    "calico-bgp, cloud-routes, bridge-vxlan, bridge-routes, ...; told from "
    "the nodes if not given"};

int RunWalk(const Args& args, Streams streams);
inline constexpr Flag kWalkFlags[] = {
    kClusterFlag,
    {"from", 0, "PLACE",
     "where it starts: NAMESPACE/POD; for an ADDRESS:PORT also node:NAME, "
     "outside, or outside:NODE (the node it enters by)"},
    {"source", 0, "ADDRESS",
     "with ADDRESS:PORT: the packet's source; else the place's own"},
    kProxyConfigFlag,
    kDialectFlag,
    kKubeletConfigFlag,
    kHostResolvConfFlag,
    kLibcFlag,
    kServerFlag,
    kNetworkFlag,
    {"port", 'p', "PORT",
     "where the Pod connects after the lookup: 443, 53/UDP; else the first "
     "port of the Service"},
    {"output", 'o', "FORMAT",
     "text, json, dot, mermaid, svg or html (a page to send to somebody)",
     "text"},
};
inline constexpr Command kWalkCommand = {
    "walk",
    "a Pod looks up a name: the file, the queries, every rule, the way there "
    "and back; or any packet's way there and back",
    "NAME|ADDRESS:PORT",
    "k8sdns walk -f cluster.yaml -c kube-proxy.yaml --kubelet kubelet.yaml "
    "--from default/web-0 kube-dns.kube-system",
    kWalkFlags,
    &RunWalk};

int RunModes(const Args& args, Streams streams);
inline constexpr Flag kModesFlags[] = {
    kClusterFlag,
    kProxyConfigFlag,
    kDialectFlag,
    kNetworkFlag,
    {"from", 0, "PLACE",
     "compare one packet only, from NAMESPACE/POD, node:NAME, outside or "
     "outside:NODE (the node it enters by)"},
    {"to", 0, "ADDRESS:PORT",
     "its destination, perhaps with /UDP or /SCTP: 10.96.0.10:53/UDP"},
    {"source", 0, "ADDRESS", "its source; else the first address of --from"},
    {"max-probes", 0, "N", "how many packets are tried at most", "10000"},
    kOutputFlag,
};
inline constexpr Command kModesCommand = {
    "modes",
    "where packets fare differently under kube-proxy's iptables mode and IPVS "
    "mode (exit code 1: they do)",
    "",
    "k8sdns modes -f cluster.yaml -c kube-proxy.yaml",
    kModesFlags,
    &RunModes};

int RunResolve(const Args& args, Streams streams);
inline constexpr Flag kResolveFlags[] = {
    kClusterFlag,
    kFromFlag,
    kKubeletConfigFlag,
    kHostResolvConfFlag,
    kLibcFlag,
    {"family", 0, "FAMILY", "addresses asked for: any, 4 or 6", "any"},
    kServerFlag,
};
inline constexpr Command kResolveCommand = {
    "resolve",
    "the queries that a Pod's resolver sends for a name, and the answers",
    "NAME",
    "k8sdns resolve -f cluster.yaml --kubelet kubelet.yaml --from "
    "default/web-0 --libc musl/1.2.5 api.prod",
    kResolveFlags,
    &RunResolve};

int RunDig(const Args& args, Streams streams);
inline constexpr Flag kDigFlags[] = {
    kClusterFlag,
    kServerFlag,
    {"domain", 0, "DOMAIN", "the cluster domain", "cluster.local"},
};
inline constexpr Command kDigCommand = {
    "dig",
    "what the cluster's DNS server answers to one question",
    "NAME [TYPE]",
    "k8sdns dig -f cluster.yaml _http._tcp.web.prod.svc.cluster.local SRV",
    kDigFlags,
    &RunDig};

int RunCheck(const Args& args, Streams streams);
inline constexpr Flag kCheckFlags[] = {
    kClusterFlag,
    kProxyConfigFlag,
    {"kubelet", 0, "FILE",
     "the nodes' KubeletConfiguration; without it DNS is not checked"},
    kHostResolvConfFlag,
    {"name", 0, "NAME",
     "a name that Pods look up: say where musl fails and glibc does not", "",
     true},
    {"service-cidr", 0, "CIDR", "the API server's --service-cluster-ip-range",
     "", true},
    {"output", 'o', "FORMAT", "text, json or sarif", "text"},
};
inline constexpr Command kCheckCommand = {
    "check",
    "what will not route or resolve as it looks (exit code 1: warnings or "
    "errors)",
    "",
    "k8sdns check -f cluster.yaml -c kube-proxy.yaml --kubelet kubelet.yaml "
    "--resolv-conf /etc/resolv.conf",
    kCheckFlags,
    &RunCheck};

inline constexpr Flag kVariantFlag = {
    "variant", 0, "VARIANT", "the spelling of legacy or nft", "legacy"};
inline constexpr Flag kIpsetFlag = {"ipset", 0, "FILE",
                                    "what ipset save prints on the node"};
inline constexpr Flag kIpvsFlag = {"ipvs", 0, "FILE",
                                   "what ipvsadm -Sn prints on the node"};

int RunDiff(const Args& args, Streams streams);
inline constexpr Flag kDiffFlags[] = {
    {"expected", 'f', "FILE",
     "the cluster: what kubectl get svc,endpointslices,endpoints,pods,nodes "
     "-A -o yaml (or json) prints",
     "", true},
    {"actual", 'a', "FILE", "what iptables-save prints on the node"},
    {"actual6", 0, "FILE", "what ip6tables-save prints on the node"},
    kIpsetFlag,
    kIpvsFlag,
    kProxyConfigFlag,
    kDialectFlag,
    {"node", 'n', "NAME", "the node; else the configuration's own"},
    {"mode", 0, "MODE", "iptables or ipvs; else the configuration's own"},
    kVariantFlag,
    kPictureFlag,
};
inline constexpr Command kDiffCommand = {
    "diff",
    "what a node's tables hold, against what kube-proxy should have written "
    "(exit code 1: drift)",
    "",
    "k8sdns diff --expected cluster.yaml --actual iptables-save.txt -c "
    "kube-proxy.yaml --node node-1",
    kDiffFlags,
    &RunDiff};

int RunEquivalent(const Args& args, Streams streams);
inline constexpr Flag kEquivalentFlags[] = {
    {"family", 0, "4|6", "the dumps are of iptables or of ip6tables", "4"},
    kVariantFlag,
    {"no-marks", 0, "", "packets have no mark before the rules see them"},
    {"max-splits", 0, "N", "give up (\"undecided\") after so much work",
     "2000000"},
    kOutputFlag,
};
inline constexpr Command kEquivalentCommand = {
    "equivalent",
    "whether two dumps give every packet the same fate; else a packet and both "
    "traces (exit code 1: not, or not known)",
    "FILE FILE",
    "k8sdns equivalent before.txt after.txt",
    kEquivalentFlags,
    &RunEquivalent};

int RunTrace(const Args& args, Streams streams);
inline constexpr Flag kTraceFlags[] = {
    {"src", 0, "ADDRESS", "the packet's source"},
    {"dst", 0, "ADDRESS", "its destination"},
    {"proto", 0, "PROTOCOL", "tcp, udp, sctp, icmp or a number", "tcp"},
    {"sport", 0, "PORT", "its source port", "40000"},
    {"dport", 0, "PORT", "its destination port", "80"},
    {"in", 'i', "INTERFACE", "where it comes in"},
    {"local", 0, "", "the node itself sends it"},
    {"mark", 0, "MARK", "its mark before any rule", "0"},
    {"mac", 0, "ADDRESS", "who sent it on the link, for -m mac"},
    {"uid", 0, "N", "with --local: the sending process's user, for -m owner"},
    {"gid", 0, "N", "with --uid: its group", "0"},
    {"rules", 'r', "FILE",
     "what iptables-save (for IPv6 ip6tables-save) prints on the node; else "
     "kube-proxy's rules"},
    kIpsetFlag,
    kIpvsFlag,
    kVariantFlag,
    kClusterFlag,
    {"node", 'n', "NAME", "the node of the cluster"},
    kProxyConfigFlag,
    kDialectFlag,
    kNetworkFlag,
    {"out", 0, "INTERFACE",
     "without a cluster: where all goes that no --route takes", "eth0"},
    {"address", 0, "IF=CIDR", "without a cluster: an address of the node", "",
     true},
    {"route", 0, "IF=CIDR", "without a cluster: a route", "", true},
    kPictureFlag,
    {"format", 0, "FORMAT",
     "instead of -o: xtables-monitor (as xtables-monitor --trace) or "
     "kernel-log (as -j TRACE of legacy tables)"},
};
inline constexpr Command kTraceCommand = {
    "trace",
    "one packet through one node's rules: every outcome, rule by rule",
    "",
    "k8sdns trace --rules iptables-save.txt --in eth0 --src 192.168.1.2 --dst "
    "10.96.0.10 --proto udp --dport 53",
    kTraceFlags,
    &RunTrace};

int RunRules(const Args& args, Streams streams);
inline constexpr Flag kRulesFlags[] = {
    {"family", 0, "4|6", "the dump is of iptables or of ip6tables", "4"},
    kVariantFlag,
};
inline constexpr Command kRulesCommand = {
    "rules",
    "reads an iptables-save dump and prints it canonically; list: the matches "
    "and targets that are known",
    "fmt FILE | list",
    "k8sdns rules fmt iptables.txt",
    kRulesFlags,
    &RunRules};

int RunGraph(const Args& args, Streams streams);
inline constexpr Flag kGraphFlags[] = {
    kClusterFlag,
    kNetworkFlag,
    {"output", 'o', "FORMAT", "text, json, dot, mermaid, svg or html", "text"},
    {"rules", 0, "FILE",
     "instead of the network: how the chains of this iptables-save dump call "
     "each other"},
    {"table", 0, "TABLE", "of the dump", "nat"},
    {"family", 0, "4|6", "the dump is of iptables or of ip6tables", "4"},
    {"variant", 0, "VARIANT", "the spelling of legacy or nft", "legacy"},
};
inline constexpr Command kGraphCommand = {
    "graph",
    "the network of Pods and nodes, or how the chains of a dump call each "
    "other",
    "",
    "k8sdns graph -f cluster.yaml -o svg > network.svg",
    kGraphFlags,
    &RunGraph};

int RunGenerate(const Args& args, Streams streams);
inline constexpr Flag kGenerateFlags[] = {
    {"services", 0, "N", "how many Services", "100"},
    {"endpoints", 0, "N", "endpoints of a Service (the mean, with --zipf)",
     "10"},
    {"total-endpoints", 0, "N", "endpoints of all Services, instead"},
    {"zipf", 0, "S", "sizes follow a Zipf law with this exponent"},
    {"nodes", 0, "N", "how many nodes; 0: one for each 100 endpoints", "0"},
    {"zones", 0, "N", "how many zones", "3"},
    {"ports", 0, "N", "ports of a Service", "1"},
    {"node-port", 0, "SHARE", "share of NodePort Services, 0 to 1", "0"},
    {"load-balancer", 0, "SHARE", "share of LoadBalancer Services", "0"},
    {"local", 0, "SHARE", "share of those with externalTrafficPolicy Local",
     "0"},
    {"internal-local", 0, "SHARE",
     "share of Services with internalTrafficPolicy Local", "0"},
    {"affinity", 0, "SHARE", "share of Services with ClientIP affinity", "0"},
    {"headless", 0, "SHARE", "share of headless Services", "0"},
    {"udp", 0, "SHARE", "share of UDP Services", "0"},
    {"sctp", 0, "SHARE", "share of SCTP Services among the others", "0"},
    {"named-ports", 0, "SHARE", "share of Services that name their targetPort",
     "0"},
    {"dual-stack", 0, "SHARE", "share of dual-stack Services", "0"},
    {"ipv6", 0, "SHARE", "share of IPv6 Services among the others", "0"},
    {"not-ready", 0, "SHARE", "share of endpoints that are not ready", "0"},
    {"pods", 0, "", "also the Pods"},
    {"preset", 0, "NAME",
     "a shape that people have reported: 5006-services, 44128-services, "
     "696k-lines"},
    {"seed", 0, "N", "another cluster of the same shape", "1"},
    {"max-memory", 0, "MIB", "refuse a shape that would take more once loaded",
     "8192"},
    {"output", 'o', "FORMAT", "yaml, json or proto", "yaml"},
    {"out", 0, "FILE",
     "write to this file, which is there whole or not at all"},
};
inline constexpr Command kGenerateCommand = {
    "generate",
    "a seeded cluster of any size, as YAML, JSON or protobuf",
    "",
    "k8sdns generate --services 1000 --endpoints 10 -o json --out "
    "cluster.json",
    kGenerateFlags,
    &RunGenerate};

int RunBench(const Args& args, Streams streams);
inline constexpr Flag kBenchFlags[] = {
    {"file", 'f', "FILE",
     "measure this cluster instead of generated ones (as for walk)", "", true},
    {"services", 0, "N,N,...", "generated clusters: how many Services",
     "10,100,1000,10000"},
    {"endpoints", 0, "N", "endpoints of a Service (the mean, with --zipf)",
     "10"},
    {"zipf", 0, "S", "sizes follow a Zipf law with this exponent"},
    {"preset", 0, "NAME", "a shape that people have reported: see generate"},
    {"seed", 0, "N", "another cluster of the same shape", "1"},
    {"modes", 0, "MODE,...", "iptables, ipvs", "iptables,ipvs"},
    kProxyConfigFlag,
    kDialectFlag,
    {"node", 'n', "NAME", "the node; else the configuration's own"},
    {"output", 'o', "FORMAT", "table, json, csv, or html (with plots)",
     "table"},
    {"out", 0, "FILE",
     "write the report here; it is there whole or not at all"},
    {"kernel", 0, "",
     "also load the tables into the real kernel, in a network namespace of "
     "its own (root)"},
    {"repetitions", 0, "N", "times are medians of so many runs", "5"},
    {"max-memory", 0, "MIB", "refuse clusters that would take more", "8192"},
};
inline constexpr Command kBenchCommand = {
    "bench",
    "how rule sets grow with a cluster, and what they cost",
    "",
    "k8sdns bench --services 10,100,1000 -o html --out sizing.html",
    kBenchFlags,
    &RunBench};

}  // namespace k8sdns::cli

#endif  // K8SDNS_CLI_COMMANDS_H_
