// -j LOG, NFLOG.
#include "k8sdns/netfilter/extension.h"

namespace k8sdns::netfilter {
namespace {

struct Log : ExtensionBase<LogTarget> {
  enum Id : uint8_t { kPrefix, kLevel, kSequence, kTcp, kIp, kUidId, kMac };
  static bool Parse(OptionCall& call, LogTarget& op) {
    switch (call.id()) {
      case kPrefix:
        if (call.text.find('\n') != absl::string_view::npos) {
          return call.rule->Fail("LOG: newline in --log-prefix");
        }
        op.prefix = call.rule->strings->Intern(call.text.substr(0, 29));
        break;
      case kLevel:
        op.level = static_cast<uint8_t>(call.number);
        break;
      case kSequence:
        op.flags |= LogTarget::kTcpSequence;
        break;
      case kTcp:
        op.flags |= LogTarget::kTcpOptions;
        break;
      case kIp:
        op.flags |= LogTarget::kIpOptions;
        break;
      case kUidId:
        op.flags |= LogTarget::kUid;
        break;
      case kMac:
        op.flags |= LogTarget::kMacDecode;
        break;
    }
    return true;
  }
  static void Print(const PrintContext& context, const LogTarget& op,
                    std::string* out) {
    if (op.prefix != 0) {
      out->append(" --log-prefix");
      AppendQuoted(context.strings->Get(op.prefix), out);
    }
    if (op.level != 4) absl::StrAppend(out, " --log-level ", op.level);
    if ((op.flags & LogTarget::kTcpSequence) != 0) {
      out->append(" --log-tcp-sequence");
    }
    if ((op.flags & LogTarget::kTcpOptions) != 0) {
      out->append(" --log-tcp-options");
    }
    if ((op.flags & LogTarget::kIpOptions) != 0) {
      out->append(" --log-ip-options");
    }
    if ((op.flags & LogTarget::kUid) != 0) out->append(" --log-uid");
    if ((op.flags & LogTarget::kMacDecode) != 0) {
      out->append(" --log-macdecode");
    }
  }
};
constexpr OptionSpec kLogOptions[] = {
    {"log-level", Log::kLevel, ValueType::kSyslogLevel},
    {"log-prefix", Log::kPrefix, ValueType::kString, 0, 0, 0, 1},
    {"log-tcp-sequence", Log::kSequence, ValueType::kNone},
    {"log-tcp-options", Log::kTcp, ValueType::kNone},
    {"log-ip-options", Log::kIp, ValueType::kNone},
    {"log-uid", Log::kUidId, ValueType::kNone},
    {"log-macdecode", Log::kMac, ValueType::kNone},
};

struct Nflog : ExtensionBase<NflogTarget> {
  enum Id : uint8_t { kGroup, kPrefix, kRange, kSize, kThreshold };
  static bool Parse(OptionCall& call, NflogTarget& op) {
    const bool nft = call.rule->variant == Variant::kNft;
    switch (call.id()) {
      case kGroup:
        op.group = static_cast<uint16_t>(call.number);
        break;
      case kPrefix:
        if (call.text.find('\n') != absl::string_view::npos) {
          return call.rule->Fail("NFLOG: newline in --nflog-prefix");
        }
        op.prefix =
            call.rule->strings->Intern(call.text.substr(0, nft ? 127 : 63));
        break;
      case kRange:
        // nft has no expression for it.
        if (!nft) op.size = static_cast<uint32_t>(call.number);
        break;
      case kSize:
        op.size = static_cast<uint32_t>(call.number);
        op.has_size = 1;
        break;
      case kThreshold:
        op.threshold = static_cast<uint16_t>(call.number);
        break;
    }
    return true;
  }
  static void Print(const PrintContext& context, const NflogTarget& op,
                    std::string* out) {
    if (op.prefix != 0) {
      out->append(" --nflog-prefix");
      AppendQuoted(context.strings->Get(op.prefix), out);
    }
    if (op.group != 0) absl::StrAppend(out, " --nflog-group ", op.group);
    if (op.has_size) {
      absl::StrAppend(out, " --nflog-size ", +op.size);
    } else if (op.size != 0) {
      absl::StrAppend(out, " --nflog-range ", +op.size);
    }
    if (op.threshold != 0) {
      absl::StrAppend(out, " --nflog-threshold ", op.threshold);
    }
  }
};
constexpr OptionSpec kNflogOptions[] = {
    {"nflog-group", Nflog::kGroup, ValueType::kUint16},
    {"nflog-prefix", Nflog::kPrefix, ValueType::kString, 0, 0, 0, 1},
    {"nflog-range", Nflog::kRange, ValueType::kUint32, 0, Bit(Nflog::kSize)},
    {"nflog-size", Nflog::kSize, ValueType::kUint32, 0, Bit(Nflog::kRange)},
    {"nflog-threshold", Nflog::kThreshold, ValueType::kUint16},
};

}  // namespace

std::vector<Extension> LogExtensions() {
  return {
      MakeExtension<Log>("LOG", kLogOptions),
      MakeExtension<Nflog>("NFLOG", kNflogOptions),
  };
}

}  // namespace k8sdns::netfilter
