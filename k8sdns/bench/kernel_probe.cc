#include "k8sdns/bench/kernel_probe.h"

#include "absl/strings/str_cat.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "k8sdns/bench/cpu_time.h"

namespace k8sdns::bench {
namespace {

constexpr int kFlows = 1000;  // of which the median is taken
constexpr int kLoads = 3;     // as well
constexpr unsigned kSeconds = 600;

double NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// A file that holds `text` and has no name; -1 if there is no room.
int MemoryFile(const std::string& text) {
  const int fd = memfd_create("k8sdns", 0);
  size_t done = 0;
  while (fd >= 0 && done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) {
      close(fd);
      return -1;
    }
    done += static_cast<size_t>(n);
  }
  if (fd >= 0) lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string ReadAll(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
    out.append(buffer, static_cast<size_t>(n));
  }
  return out;
}

// Runs a program with `input` and gives what it prints to both outputs.
absl::StatusOr<std::string> RunTool(const std::vector<std::string>& words,
                                    const std::string& input = "") {
  const int in = MemoryFile(input);
  const int out = MemoryFile("");
  if (in < 0 || out < 0) return absl::ResourceExhaustedError("no memory");
  const pid_t child = fork();
  if (child == 0) {
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    std::vector<char*> argv;
    for (const std::string& word : words) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  lseek(out, 0, SEEK_SET);
  std::string text = ReadAll(out);
  close(in);
  close(out);
  if (status == 0) return text;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return absl::UnavailableError(absl::StrCat(words[0], " is not installed"));
  }
  const std::vector<absl::string_view> lines =
      absl::StrSplit(text, '\n', absl::SkipWhitespace());
  return absl::UnavailableError(
      absl::StrCat(words[0], " failed", lines.empty() ? "" : ": ",
                   lines.empty() ? absl::string_view() : lines.front()));
}

sockaddr_in ToSockaddr(const SocketAddress& address) {
  sockaddr_in out = {};
  out.sin_family = AF_INET;
  out.sin_port = htons(address.port);
  inet_pton(AF_INET, address.address.ToString().c_str(), &out.sin_addr);
  return out;
}

// The system call that sends a flow's first packet, in the median.
std::optional<double> FirstPacketNs(const IpAddress& client,
                                    const KernelTarget& target,
                                    uint16_t& next_port) {
  const bool tcp = target.protocol == Protocol::kTcp;
  if (!tcp && target.protocol != Protocol::kUdp) return std::nullopt;
  const sockaddr_in to = ToSockaddr(target.address);
  std::vector<double> times;
  for (int i = 0; i < kFlows; ++i) {
    const int fd =
        socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
    if (fd < 0) return std::nullopt;
    const sockaddr_in from = ToSockaddr({client, next_port++});
    if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0) {
      const double begin = NowNs();
      if (tcp) {
        (void)connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
      } else {
        (void)sendto(fd, "?", 1, 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof(to));
      }
      times.push_back(NowNs() - begin);
    }
    close(fd);
  }
  if (times.empty()) return std::nullopt;
  return Median(std::move(times));
}

// Everything leaves by a veth pair, to a neighbour that is not there: the
// other end drops it for its link address.
absl::Status PrepareNamespace(const IpAddress& client) {
  constexpr char kBatch[] =
      "link set lo up\n"
      "link add k8sdns0 type veth peer name k8sdns1\n"
      "addr add $CLIENT dev k8sdns0\n"
      "link set k8sdns0 up\n"
      "link set k8sdns1 up\n"
      "route add 192.0.2.1 dev k8sdns0 scope link\n"
      "route add default via 192.0.2.1 dev k8sdns0\n"
      "neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev k8sdns0 "
      "nud permanent\n";
  return RunTool({"ip", "-batch", "-"},
                 absl::StrReplaceAll(
                     kBatch, {{"$CLIENT", IpPrefix::Host(client).ToString()}}))
      .status();
}

absl::StatusOr<double> LoadOnce(const KernelTables& tables) {
  const double begin = NowNs();
  const std::pair<std::vector<std::string>, const std::string*> steps[] = {
      {{"ipset", "restore", "-exist"}, &tables.ipset},
      {{"iptables-restore"}, &tables.iptables},
      {{"ipvsadm", "-R"}, &tables.ipvsadm},
  };
  for (const auto& [command, input] : steps) {
    if (input->empty()) continue;
    absl::StatusOr<std::string> done = RunTool(command, *input);
    if (!done.ok()) return done.status();
  }
  return (NowNs() - begin) * 1e-6;
}

absl::StatusOr<KernelTimes> MeasureHere(
    const KernelTables& tables, const IpAddress& client,
    const std::vector<KernelTarget>& targets) {
  if (const absl::Status s = PrepareNamespace(client); !s.ok()) return s;
  KernelTimes times;
  uint16_t port = 2000;
  if (!targets.empty()) {
    times.no_rules_ns = FirstPacketNs(client, targets[0], port).value_or(0);
  }
  if (!tables.bound.empty()) {
    std::string batch;
    for (const IpAddress& a : tables.bound) {
      if (a.family() != IpFamily::kIpv4) continue;
      absl::StrAppend(&batch, "addr add ", IpPrefix::Host(a).ToString(),
                      " dev lo\n");
    }
    absl::StatusOr<std::string> bound = RunTool({"ip", "-batch", "-"}, batch);
    if (!bound.ok()) return bound.status();
  }
  std::vector<double> loads;
  for (int i = 0; i < kLoads; ++i) {
    if (i > 0 && !tables.ipvsadm.empty()) {
      (void)RunTool({"ipvsadm", "-C"});
    }
    absl::StatusOr<double> ms = LoadOnce(tables);
    if (!ms.ok()) return ms.status();
    loads.push_back(*ms);
    if (*ms > 20'000) break;
  }
  times.load_ms = Median(std::move(loads));
  for (const KernelTarget& target : targets) {
    times.first_packet_ns.push_back(FirstPacketNs(client, target, port));
  }
  return times;
}

std::string Encode(const absl::StatusOr<KernelTimes>& times) {
  if (!times.ok()) return absl::StrCat("error ", times.status().message());
  std::string out =
      absl::StrCat("ok ", times->load_ms, " ", times->no_rules_ns);
  for (const auto& ns : times->first_packet_ns) {
    absl::StrAppend(&out, " ", ns ? absl::StrCat(*ns) : "-");
  }
  return out;
}

absl::StatusOr<KernelTimes> Decode(const std::string& text) {
  std::vector<std::string> words = absl::StrSplit(text, ' ');
  KernelTimes times;
  if (words.size() < 3 || words[0] != "ok" ||
      !absl::SimpleAtod(words[1], &times.load_ms) ||
      !absl::SimpleAtod(words[2], &times.no_rules_ns)) {
    return absl::UnavailableError(absl::StartsWith(text, "error ")
                                      ? text.substr(6)
                                      : "the kernel took too long");
  }
  for (size_t i = 3; i < words.size(); ++i) {
    double ns;
    times.first_packet_ns.push_back(absl::SimpleAtod(words[i], &ns)
                                        ? std::optional<double>(ns)
                                        : std::nullopt);
  }
  return times;
}

}  // namespace

absl::StatusOr<std::string> DescribeKernel() {
  if (geteuid() != 0) {
    return absl::UnavailableError(
        "loading tables into a network namespace needs root");
  }
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWNET) == 0 ? 0 : 1);
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  if (status != 0) {
    return absl::UnavailableError("no network namespace can be made here");
  }
  absl::StatusOr<std::string> ip = RunTool({"ip", "-V"});
  if (!ip.ok()) return ip.status();
  absl::StatusOr<std::string> iptables = RunTool({"iptables-restore", "-V"});
  if (!iptables.ok()) return iptables.status();
  absl::StripAsciiWhitespace(&*iptables);
  utsname name = {};
  uname(&name);
  return absl::StrCat("Linux ", name.release, ", ", *iptables);
}

absl::StatusOr<KernelTimes> MeasureKernel(
    const KernelTables& tables, const IpAddress& client,
    const std::vector<KernelTarget>& targets) {
  int ends[2];
  if (pipe(ends) != 0) return absl::ResourceExhaustedError("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    alarm(kSeconds);
    const std::string text =
        unshare(CLONE_NEWNET) == 0
            ? Encode(MeasureHere(tables, client, targets))
            : "error no network namespace can be made here";
    const bool written = write(ends[1], text.data(), text.size()) ==
                         static_cast<ssize_t>(text.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  const std::string text = child > 0 ? ReadAll(ends[0]) : "error fork failed";
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return Decode(text);
}

}  // namespace k8sdns::bench

#else

namespace k8sdns::bench {

absl::StatusOr<std::string> DescribeKernel() {
  return absl::UnavailableError("this system has no netfilter");
}

absl::StatusOr<KernelTimes> MeasureKernel(const KernelTables&, const IpAddress&,
                                          const std::vector<KernelTarget>&) {
  return absl::UnavailableError("this system has no netfilter");
}

}  // namespace k8sdns::bench

#endif
