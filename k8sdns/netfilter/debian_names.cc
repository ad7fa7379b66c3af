// Names of Debian 12: /etc/services, and the base users and groups. The
// recorded systems were Debian; no other name is known.
#include <algorithm>
#include <iterator>

#include "k8sdns/netfilter/option_value.h"

namespace k8sdns::netfilter {
namespace {

enum ProtocolBit : uint8_t { kTcp = 1, kUdp = 2, kSctp = 4, kDccp = 8 };

struct Service {
  absl::string_view name;
  uint16_t port;
  uint8_t protocols;  // ProtocolBit
};

// In bytewise order of names.
// clang-format off
constexpr Service kServices[] = {
    {"Clearcase", 371, 2}, {"acr-nema", 104, 1}, {"afpovertcp", 548, 1},
    {"afs3-bos", 7007, 2}, {"afs3-callback", 7001, 2},
    {"afs3-fileserver", 7000, 2}, {"afs3-kaserver", 7004, 2},
    {"afs3-prserver", 7002, 2}, {"afs3-rmtsys", 7009, 2},
    {"afs3-update", 7008, 2}, {"afs3-vlserver", 7003, 2},
    {"afs3-volser", 7005, 2}, {"amanda", 10080, 1}, {"amandaidx", 10082, 1},
    {"amidxtape", 10083, 1}, {"amqp", 5672, 5}, {"amqps", 5671, 1},
    {"asf-rmcp", 623, 2}, {"asp", 27374, 3}, {"auth", 113, 1},
    {"authentication", 113, 1}, {"babel", 6696, 2}, {"bacula-dir", 9101, 1},
    {"bacula-fd", 9102, 1}, {"bacula-sd", 9103, 1}, {"bbs", 7000, 1},
    {"bgp", 179, 1}, {"bgpd", 2605, 1}, {"biff", 512, 2}, {"binkp", 24554, 1},
    {"bootpc", 68, 2}, {"bootps", 67, 2}, {"canna", 5680, 1},
    {"cfengine", 5308, 1}, {"chargen", 19, 3}, {"cisco-sccp", 2000, 1},
    {"clc-build-daemon", 8990, 1}, {"clearcase", 371, 2}, {"cmd", 514, 1},
    {"cmip-agent", 164, 3}, {"cmip-man", 163, 3}, {"codaauth2", 370, 3},
    {"codasrv", 2432, 3}, {"codasrv-se", 2433, 3}, {"comsat", 512, 2},
    {"csync2", 30865, 1}, {"cvspserver", 2401, 1}, {"daap", 3689, 1},
    {"datametrics", 1645, 3}, {"daytime", 13, 3}, {"db-lsp", 17500, 1},
    {"dcap", 22125, 1}, {"dhcpv6-client", 546, 2}, {"dhcpv6-server", 547, 2},
    {"dicom", 104, 1}, {"dict", 2628, 1}, {"dircproxy", 57000, 1},
    {"discard", 9, 3}, {"distcc", 3632, 1}, {"domain", 53, 3},
    {"domain-s", 853, 3}, {"echo", 7, 3}, {"epmap", 135, 1}, {"epmd", 4369, 1},
    {"exec", 512, 1}, {"f5-globalsite", 2792, 1}, {"f5-iquery", 4353, 1},
    {"fax", 4557, 1}, {"fido", 60179, 1}, {"finger", 79, 1},
    {"font-service", 7100, 1}, {"freeciv", 5556, 1}, {"fsp", 21, 2},
    {"fspd", 21, 2}, {"ftp", 21, 1}, {"ftp-data", 20, 1}, {"ftps", 990, 1},
    {"ftps-data", 989, 1}, {"gdomap", 538, 3}, {"gds-db", 3050, 1},
    {"gds_db", 3050, 1}, {"git", 9418, 1}, {"gnunet", 2086, 3},
    {"gnutella-rtr", 6347, 3}, {"gnutella-svc", 6346, 3}, {"gopher", 70, 1},
    {"gpsd", 2947, 1}, {"gris", 2135, 1}, {"groupwise", 1677, 1},
    {"gsidcap", 22128, 1}, {"gsiftp", 2811, 1}, {"gsigatekeeper", 2119, 1},
    {"hkp", 11371, 1}, {"hprop", 754, 1}, {"http", 80, 1},
    {"http-alt", 8080, 1}, {"https", 443, 3}, {"hylafax", 4559, 1},
    {"iax", 4569, 2}, {"icp", 3130, 2}, {"icpv2", 3130, 2}, {"ident", 113, 1},
    {"imap", 143, 1}, {"imap2", 143, 1}, {"imaps", 993, 1},
    {"ingreslock", 1524, 1}, {"ipp", 631, 1}, {"iprop", 2121, 1},
    {"ipsec-nat-t", 4500, 2}, {"ipx", 213, 2}, {"ircd", 6667, 1},
    {"ircs-u", 6697, 1}, {"isakmp", 500, 2}, {"iscsi-target", 3260, 1},
    {"isisd", 2608, 1}, {"isns", 3205, 3}, {"iso-tsap", 102, 1},
    {"jabber-client", 5222, 1}, {"jabber-server", 5269, 1},
    {"kamanda", 10081, 1}, {"kdc", 750, 3}, {"kerberos", 88, 3},
    {"kerberos-adm", 749, 1}, {"kerberos-iv", 750, 3},
    {"kerberos-master", 751, 3}, {"kerberos-sec", 88, 3}, {"kerberos4", 750, 3},
    {"kerberos5", 88, 3}, {"kerberos_master", 751, 2}, {"kermit", 1649, 1},
    {"klogin", 543, 1}, {"kpasswd", 464, 3}, {"krb-prop", 754, 1},
    {"krb5", 88, 3}, {"krb5_prop", 754, 1}, {"krb_prop", 754, 1},
    {"krcmd", 544, 1}, {"kshell", 544, 1}, {"l2f", 1701, 2}, {"l2tp", 1701, 2},
    {"ldap", 389, 3}, {"ldaps", 636, 3}, {"ldp", 646, 3}, {"loc-srv", 135, 1},
    {"login", 513, 1}, {"lotusnote", 1352, 1}, {"lotusnotes", 1352, 1},
    {"lrrd", 4949, 1}, {"mail", 25, 1}, {"mailq", 174, 1}, {"mdns", 5353, 2},
    {"microsoft-ds", 445, 1}, {"moira-db", 775, 1}, {"moira-update", 777, 1},
    {"moira-ureg", 779, 2}, {"moira_db", 775, 1}, {"moira_update", 777, 1},
    {"moira_ureg", 779, 2}, {"mon", 2583, 3}, {"ms-sql-m", 1434, 2},
    {"ms-sql-s", 1433, 1}, {"ms-wbt-server", 3389, 1}, {"mtn", 4691, 1},
    {"munin", 4949, 1}, {"mysql", 3306, 1}, {"mysql-proxy", 6446, 1},
    {"nbd", 10809, 1}, {"netbios-dgm", 138, 2}, {"netbios-ns", 137, 2},
    {"netbios-ssn", 139, 1}, {"netstat", 15, 1}, {"nfs", 2049, 3},
    {"nicname", 43, 1}, {"nntp", 119, 1}, {"nntps", 563, 1}, {"nqs", 607, 1},
    {"nrpe", 5666, 1}, {"nsca", 5667, 1}, {"ntalk", 518, 2}, {"ntp", 123, 2},
    {"ntske", 4460, 1}, {"null", 9, 3}, {"nut", 3493, 3},
    {"old-radacct", 1646, 3}, {"old-radius", 1645, 3}, {"omniorb", 8088, 1},
    {"openvpn", 1194, 3}, {"ospf6d", 2606, 1}, {"ospfapi", 2607, 1},
    {"ospfd", 2604, 1}, {"passwd-server", 752, 2}, {"passwd_server", 752, 2},
    {"pawserv", 345, 1}, {"pop-3", 110, 1}, {"pop3", 110, 1}, {"pop3s", 995, 1},
    {"poppassd", 106, 1}, {"portmapper", 111, 3}, {"postgres", 5432, 1},
    {"postgresql", 5432, 1}, {"predict", 1210, 2}, {"printer", 515, 1},
    {"proofd", 1093, 1}, {"ptp-event", 319, 2}, {"ptp-general", 320, 2},
    {"puppet", 8140, 1}, {"qmqp", 628, 1}, {"qmtp", 209, 1}, {"qotd", 17, 1},
    {"quote", 17, 1}, {"radacct", 1813, 3}, {"radius", 1812, 3},
    {"radius-acct", 1813, 3}, {"radmin-port", 4899, 1}, {"readnews", 119, 1},
    {"redis", 6379, 1}, {"remctl", 4373, 1}, {"ripd", 2602, 1},
    {"ripngd", 2603, 1}, {"rmiregistry", 1099, 1}, {"rmtcfg", 1236, 1},
    {"rootd", 1094, 1}, {"route", 520, 2}, {"routed", 520, 2},
    {"router", 520, 2}, {"rpc2portmap", 369, 3}, {"rplay", 5555, 2},
    {"rptp", 5556, 1}, {"rsync", 873, 1}, {"rtcm-sc104", 2101, 3},
    {"rtsp", 554, 3}, {"sa-msg-port", 1646, 3}, {"saft", 487, 1},
    {"sane", 6566, 1}, {"sane-port", 6566, 1}, {"saned", 6566, 1},
    {"sge-execd", 6445, 1}, {"sge-qmaster", 6444, 1}, {"sge_execd", 6445, 1},
    {"sge_qmaster", 6444, 1}, {"sgi-cad", 17004, 1}, {"sgi-cmsd", 17001, 2},
    {"sgi-crsd", 17002, 2}, {"sgi-gcd", 17003, 2}, {"shell", 514, 1},
    {"sieve", 4190, 1}, {"silc", 706, 1}, {"sink", 9, 3}, {"sip", 5060, 3},
    {"sip-tls", 5061, 3}, {"skkserv", 1178, 1}, {"smtp", 25, 1},
    {"smtps", 465, 1}, {"smux", 199, 1}, {"snmp", 161, 3},
    {"snmp-trap", 162, 3}, {"snmptrap", 162, 3}, {"snntp", 563, 1},
    {"snpp", 444, 1}, {"socks", 1080, 1}, {"source", 19, 3}, {"spamd", 783, 1},
    {"spooler", 515, 1}, {"ssh", 22, 1}, {"ssmtp", 465, 1},
    {"submission", 587, 1}, {"submissions", 465, 1}, {"subversion", 3690, 1},
    {"sunrpc", 111, 3}, {"supfiledbg", 1127, 1}, {"supfilesrv", 871, 1},
    {"suucp", 4031, 1}, {"svn", 3690, 1}, {"svrloc", 427, 3},
    {"syslog", 514, 3}, {"syslog-tls", 6514, 1}, {"sysrqd", 4094, 1},
    {"systat", 11, 1}, {"tacacs", 49, 3}, {"talk", 517, 2}, {"tap", 113, 1},
    {"tcpmux", 1, 1}, {"telnet", 23, 1}, {"telnets", 992, 1},
    {"tfido", 60177, 1}, {"tftp", 69, 2}, {"time", 37, 3}, {"timserver", 37, 3},
    {"tinc", 655, 3}, {"tproxy", 8081, 1}, {"tsap", 102, 1}, {"ttytst", 19, 3},
    {"untp", 119, 1}, {"urd", 465, 1}, {"users", 11, 1}, {"uucp", 540, 1},
    {"uucpd", 540, 1}, {"venus", 2430, 3}, {"venus-se", 2431, 3},
    {"wais", 210, 1}, {"webcache", 8080, 1}, {"webmin", 10000, 1},
    {"who", 513, 2}, {"whod", 513, 2}, {"whois", 43, 1}, {"wnn6", 22273, 1},
    {"www", 80, 1}, {"x11", 6000, 1}, {"x11-0", 6000, 1}, {"x11-1", 6001, 1},
    {"x11-2", 6002, 1}, {"x11-3", 6003, 1}, {"x11-4", 6004, 1},
    {"x11-5", 6005, 1}, {"x11-6", 6006, 1}, {"x11-7", 6007, 1},
    {"xdmcp", 177, 2}, {"xfs", 7100, 1}, {"xinetd", 9098, 1},
    {"xmms2", 9667, 1}, {"xmpp-client", 5222, 1}, {"xmpp-server", 5269, 1},
    {"xtel", 1313, 1}, {"xtelw", 1314, 1}, {"z3950", 210, 1},
    {"zabbix-agent", 10050, 1}, {"zabbix-trapper", 10051, 1},
    {"zebra", 2601, 1}, {"zebrasrv", 2600, 1}, {"zephyr-clt", 2103, 2},
    {"zephyr-hm", 2104, 2}, {"zephyr-srv", 2102, 2}, {"zope", 9673, 1},
    {"zope-ftp", 8021, 1}, {"zserv", 346, 1},
};
// clang-format on

struct Id {
  absl::string_view name;
  uint32_t number;
};

// clang-format off
constexpr Id kUsers[] = {
    {"root", 0}, {"daemon", 1}, {"bin", 2}, {"sys", 3}, {"sync", 4},
    {"games", 5}, {"man", 6}, {"lp", 7}, {"mail", 8}, {"news", 9}, {"uucp", 10},
    {"proxy", 13}, {"www-data", 33}, {"backup", 34}, {"list", 38}, {"irc", 39},
    {"_apt", 42}, {"nobody", 65534},
};
// clang-format on

// clang-format off
constexpr Id kGroups[] = {
    {"root", 0}, {"daemon", 1}, {"bin", 2}, {"sys", 3}, {"adm", 4}, {"tty", 5},
    {"disk", 6}, {"lp", 7}, {"mail", 8}, {"news", 9}, {"uucp", 10}, {"man", 12},
    {"proxy", 13}, {"kmem", 15}, {"dialout", 20}, {"fax", 21}, {"voice", 22},
    {"cdrom", 24}, {"floppy", 25}, {"tape", 26}, {"sudo", 27}, {"audio", 29},
    {"dip", 30}, {"www-data", 33}, {"backup", 34}, {"operator", 37},
    {"list", 38}, {"irc", 39}, {"src", 40}, {"shadow", 42}, {"utmp", 43},
    {"video", 44}, {"sasl", 45}, {"plugdev", 46}, {"staff", 50}, {"games", 60},
    {"users", 100}, {"nogroup", 65534},
};
// clang-format on

}  // namespace

std::optional<uint16_t> FindService(absl::string_view name,
                                    absl::string_view protocol) {
  const uint8_t wanted = protocol == "tcp"    ? kTcp
                         : protocol == "udp"  ? kUdp
                         : protocol == "sctp" ? kSctp
                         : protocol == "dccp" ? kDccp
                         : protocol.empty()   ? 0xff
                                              : 0;
  const Service* end = std::end(kServices);
  const Service* s = std::lower_bound(
      std::begin(kServices), end, name,
      [](const Service& a, absl::string_view b) { return a.name < b; });
  for (; s != end && s->name == name; ++s) {
    if ((s->protocols & wanted) != 0) return s->port;
  }
  return std::nullopt;
}

std::optional<uint32_t> FindUser(absl::string_view name) {
  for (const Id& id : kUsers) {
    if (id.name == name) return id.number;
  }
  return std::nullopt;
}

std::optional<uint32_t> FindGroup(absl::string_view name) {
  for (const Id& id : kGroups) {
    if (id.name == name) return id.number;
  }
  return std::nullopt;
}

}  // namespace k8sdns::netfilter
