#include "k8sdns/cluster/snapshot.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "k8sdns/cluster/schema.h"
#include "k8sdns/cluster/utf8.h"
#include "k8sdns/cluster/wire_reader.h"

namespace k8sdns {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using schema::At;
using schema::Field;
using schema::Shape;
using schema::Type;

// Message Cluster has the kinds' lists in their order, from 1.
constexpr uint32_t kFirstKindNumber = 1;
// Of a map's entry, of PortOrName and of StringList.
constexpr uint32_t kKeyNumber = 1;
constexpr uint32_t kValueNumber = 2;
constexpr uint32_t kPortNumber = 1;
constexpr uint32_t kPortName = 2;
constexpr uint32_t kListValues = 1;

// --- Writing -----------------------------------------------------------------

class Encoder {
 public:
  // Appends to `out`.
  explicit Encoder(std::string& out) : out_(out) {}

  void Object(uint32_t number, absl::Span<const Field> fields,
              const void* object) {
    Message(number, [&] { Fields(fields, object); });
  }

 private:
  void Varint(uint64_t value) {
    uint8_t buffer[10];
    const uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, buffer);
    out_.append(reinterpret_cast<const char*>(buffer), end - buffer);
  }
  void Tag(uint32_t number, WireFormatLite::WireType type) {
    Varint(WireFormatLite::MakeTag(static_cast<int>(number), type));
  }
  void Text(uint32_t number, absl::string_view text) {
    Tag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
    Varint(text.size());
    out_.append(text.data(), text.size());
  }
  void Number(uint32_t number, int64_t value) {
    Tag(number, WireFormatLite::WIRETYPE_VARINT);
    Varint(static_cast<uint64_t>(value));
  }

  // The length stands before the content, and mostly fits one byte: if not, the
  // content moves.
  template <typename F>
  void Message(uint32_t number, F content) {
    Tag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
    const size_t at = out_.size();
    out_.push_back(0);
    content();
    const size_t size = out_.size() - at - 1;
    uint8_t buffer[10];
    const size_t bytes =
        CodedOutputStream::WriteVarint64ToArray(size, buffer) - buffer;
    if (bytes > 1) out_.insert(at, bytes - 1, '\0');
    out_.replace(at, bytes, reinterpret_cast<const char*>(buffer), bytes);
  }

  void Fields(absl::Span<const Field> fields, const void* object) {
    for (const Field& field : fields) {
      if (field.type == nullptr) {
        Fields(field.group, object);
      } else {
        Value(*field.type, field.number, At(object, field), /*always=*/false);
      }
    }
  }

  // `always`: also what a new object has.
  void Value(const Type& type, uint32_t number, const void* value,
             bool always) {
    switch (type.shape) {
      case Shape::kString: {
        const auto& text = *static_cast<const std::string*>(value);
        if (always || !text.empty()) Text(number, text);
        return;
      }
      case Shape::kSharedText: {
        const auto& text = *static_cast<const SharedText*>(value);
        if (always || !text.empty()) Text(number, text);
        return;
      }
      case Shape::kInt32: {
        const int32_t n = *static_cast<const int32_t*>(value);
        if (always || n != 0) Number(number, n);
        return;
      }
      case Shape::kBool: {
        const bool b = *static_cast<const bool*>(value);
        if (always || b) Number(number, b ? 1 : 0);
        return;
      }
      case Shape::kEnum:
        Number(number, EnumNumber(type, value));
        return;
      case Shape::kPortOrName: {
        const auto& port = *static_cast<const PortOrName*>(value);
        if (!always && port == PortOrName(0)) return;
        Message(number, [&] {
          if (const int32_t* n = std::get_if<int32_t>(&port)) {
            Number(kPortNumber, *n);
          } else {
            Text(kPortName, std::get<std::string>(port));
          }
        });
        return;
      }
      case Shape::kStringMap:
        for (const auto& [key, text] : *static_cast<const StringMap*>(value)) {
          Message(number, [&, &key = key, &text = text] {
            Text(kKeyNumber, key);
            Text(kValueNumber, text);
          });
        }
        return;
      case Shape::kObject: {
        const size_t before = out_.size();
        Object(number, type.object->fields, value);
        // A tag and the length 0.
        if (!always && out_.back() == '\0' && out_.size() - before == 2) {
          out_.resize(before);
        }
        return;
      }
      case Shape::kList:
        List(type, number, value);
        return;
      case Shape::kOptional: {
        const void* inner = type.value(value);
        if (inner == nullptr) return;
        if (type.element->shape == Shape::kList) {
          Message(number, [&] { List(*type.element, kListValues, inner); });
        } else {
          Value(*type.element, number, inner, /*always=*/true);
        }
        return;
      }
      case Shape::kBoolMap:
        return;  // not in a cluster
    }
  }

  void List(const Type& type, uint32_t number, const void* list) {
    const size_t size = type.size(list);
    if (size == 0) return;
    if (type.element->shape == Shape::kEnum) {  // packed
      Message(number, [&] {
        for (size_t i = 0; i < size; ++i) {
          Varint(EnumNumber(*type.element, type.at(list, i)));
        }
      });
      return;
    }
    for (size_t i = 0; i < size; ++i) {
      Value(*type.element, number, type.at(list, i), /*always=*/true);
    }
  }

  static uint64_t EnumNumber(const Type& type, const void* value) {
    return static_cast<uint64_t>(schema::LoadEnum(*type.enumeration, value) +
                                 type.enumeration->wire_offset);
  }

  std::string& out_;
};

template <typename T>
void AddAll(const ObjectSet<T>& objects, SnapshotWriter& writer) {
  for (const T& object : objects) writer.Add(object);
}

// --- Reading -----------------------------------------------------------------

// The fields on the way to what is read, for messages.
struct Step {
  const Step* parent = nullptr;
  absl::string_view name;
};

class Decoder {
  // In bytes. A smaller snapshot is not worth an arena.
  static constexpr size_t kLarge = size_t{1} << 18;

 public:
  Decoder(absl::string_view bytes, const SnapshotOptions& options)
      : in_(bytes), options_(options), arena_(bytes.size() >= kLarge) {}

  absl::Status ReadInto(Cluster& cluster) {
    if (!Charge(in_.remaining(), Step())) return status_;  // all texts
    while (const uint32_t tag = in_.ReadTag()) {
      const auto kind = static_cast<size_t>(
          WireFormatLite::GetTagFieldNumber(tag) - kFirstKindNumber);
      if (kind >= schema::ClusterKinds().size()) {
        if (!in_.SkipField(tag)) {
          Fail(Step(), "broken bytes", "protobuf");
          break;
        }
      } else if (!ReadObject(kind, tag, cluster)) {
        break;
      }
    }
    if (status_.ok() && !in_.ConsumedEntireMessage()) {
      Fail(Step(), "broken bytes", "a protobuf tag");
    }
    return status_;
  }

 private:
  template <size_t i = 0>
  bool ReadObject(size_t kind, uint32_t tag, Cluster& cluster) {
    using Objects = decltype(WatchEvent::object);
    if constexpr (i < std::variant_size_v<Objects>) {
      if (kind != i) return ReadObject<i + 1>(kind, tag, cluster);
      using T = std::variant_alternative_t<i, Objects>;
      auto shared = arena_.Make<T>();
      T& object = *shared;
      const schema::Kind& description = schema::ClusterKinds()[i];
      const Step step{nullptr, description.kind};
      if (!Charge(sizeof(object), step) || !Message(tag, step, [&] {
            return Fields(*description.type, &object, step);
          })) {
        return false;
      }
      if (object.metadata.name.empty()) {
        return Fail(step, "no name", "metadata.name");
      }
      if constexpr (i == 1) {
        if (!CheckAddresses(object, step)) return false;
      }
      cluster.Put(std::move(shared));
      return true;
    }
    return false;
  }

  bool CheckAddresses(const EndpointSlice& slice, const Step& step) {
    if (slice.address_type == AddressType::kFqdn) return true;
    for (const Endpoint& endpoint : slice.endpoints) {
      for (const SharedText& address : endpoint.addresses) {
        if (!schema::Passes(schema::Check::kIp, address)) {
          return Fail(Step{&step, "endpoints.addresses"}, "a text that is none",
                      schema::ExpectedText(schema::Check::kIp));
        }
      }
    }
    return true;
  }

  // Runs `content`, which must read to the end, within a message's bytes.
  template <typename F>
  bool Message(uint32_t tag, const Step& step, F content) {
    size_t size = 0;
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return Fail(step, "a number", "a message");
    }
    if (!Size(step, size)) return false;
    const char* const limit = in_.PushLimit(size);
    if (!content()) return false;
    if (!in_.ConsumedEntireMessage()) {
      return Fail(step, "broken bytes", "a protobuf tag");
    }
    in_.PopLimit(limit);
    return true;
  }

  // The length of what follows, which must be there.
  bool Size(const Step& step, size_t& size) {
    uint64_t value = 0;
    if (!in_.ReadVarint(value) || value > in_.remaining()) {
      return Fail(step, "the end of the bytes", "more of them");
    }
    size = static_cast<size_t>(value);
    return true;
  }

  bool Fields(const schema::ObjectType& type, void* object,
              const Step& parent) {
    while (const uint32_t tag = in_.ReadTag()) {
      const Field* field = type.FindByNumber(
          static_cast<uint32_t>(WireFormatLite::GetTagFieldNumber(tag)));
      if (field == nullptr) {
        if (!in_.SkipField(tag)) {
          return Fail(parent, "broken bytes", "protobuf");
        }
        continue;
      }
      const Step step{&parent, field->name};
      if (!Value(*field->type, *field, tag, At(object, *field), step)) {
        return false;
      }
    }
    return true;
  }

  bool Value(const Type& any_type, const Field& field, uint32_t tag, void* out,
             const Step& step) {
    if (any_type.shape != Shape::kOptional) {
      return ValueOf(any_type, field, tag, out, step);
    }
    const Type& type = *any_type.element;
    void* inner = const_cast<void*>(any_type.value(out));
    if (inner == nullptr) inner = any_type.emplace(out);
    if (type.shape != Shape::kList) {
      return ValueOf(type, field, tag, inner, step);
    }
    return Message(tag, step, [&] {
      while (const uint32_t element = in_.ReadTag()) {
        if (!List(type, field, element, inner, step)) return false;
      }
      return true;
    });
  }

  // Of what is not optional.
  bool ValueOf(const Type& type, const Field& field, uint32_t tag, void* out,
               const Step& step) {
    switch (type.shape) {
      case Shape::kString:
        return CheckedText(field.check, tag, *static_cast<std::string*>(out),
                           step);
      case Shape::kSharedText:
        return CheckedText(field.check, tag, *static_cast<SharedText*>(out),
                           step);
      case Shape::kInt32:
        return Int32(field.check, tag, *static_cast<int32_t*>(out), step);
      case Shape::kBool: {
        uint64_t number = 0;
        if (!Varint(tag, number, step)) return false;
        *static_cast<bool*>(out) = number != 0;
        return true;
      }
      case Shape::kEnum: {
        uint64_t number = 0;
        return Varint(tag, number, step) && Enum(type, number, out, step);
      }
      case Shape::kPortOrName:
        return Port(field, tag, *static_cast<PortOrName*>(out), step);
      case Shape::kStringMap:
        return MapEntry(tag, *static_cast<StringMap*>(out), step);
      case Shape::kObject:
        return Message(tag, step,
                       [&] { return Fields(*type.object, out, step); });
      case Shape::kList:
        return List(type, field, tag, out, step);
      case Shape::kOptional:  // of an optional: there is none
      case Shape::kBoolMap:
        break;  // not in a cluster
    }
    return false;
  }

  bool List(const Type& type, const Field& field, uint32_t tag, void* list,
            const Step& step) {
    if (type.element->shape == Shape::kEnum &&
        WireFormatLite::GetTagWireType(tag) ==
            WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return Message(tag, step, [&] {
        while (in_.remaining() > 0) {
          uint64_t number = 0;
          if (!in_.ReadVarint(number)) {
            return Fail(step, "the end of the bytes", "more of them");
          }
          if (!Charge(type.element_size, step) ||
              !Enum(*type.element, number, type.append(list), step)) {
            return false;
          }
        }
        return in_.ReadTag() == 0;  // as Message() expects it
      });
    }
    if (type.size(list) == 0) {
      const size_t count = CountElements(tag);
      if (!Charge(count * type.element_size, step)) return false;
      type.reserve_settled(list, count, arena_);
    } else if (!Charge(type.element_size, step)) {
      return false;
    }
    return Value(*type.element, field, tag, type.append(list), step);
  }

  // How many elements of one list follow each other, with the one whose tag has
  // just been read.
  size_t CountElements(uint32_t tag) {
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return 1;
    }
    const char* p = in_.at();
    const char* const end = p + in_.remaining();
    size_t count = 0;
    const auto varint = [&](uint32_t& value) {
      value = 0;
      for (int shift = 0; p < end && shift < 35; shift += 7) {
        const auto byte = static_cast<unsigned char>(*p++);
        value |= static_cast<uint32_t>(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
      }
      return false;
    };
    uint32_t size = 0;
    uint32_t next = tag;
    while (next == tag && varint(size) &&
           size <= static_cast<size_t>(end - p)) {
      ++count;
      p += size;
      if (!varint(next)) break;
    }
    return count;
  }

  bool Varint(uint32_t tag, uint64_t& number, const Step& step) {
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_VARINT) {
      return Fail(step, "another type", "a number");
    }
    if (!in_.ReadVarint(number)) {
      return Fail(step, "the end of the bytes", "more of them");
    }
    return true;
  }

  bool Int32(schema::Check check, uint32_t tag, int32_t& out,
             const Step& step) {
    uint64_t number = 0;
    if (!Varint(tag, number, step)) return false;
    const auto value = static_cast<int64_t>(number);
    if (value != 0 && !schema::Passes(check, value)) {
      return Fail(step, absl::StrCat(value), schema::ExpectedNumber(check));
    }
    out = static_cast<int32_t>(value);
    return true;
  }

  bool Enum(const Type& type, uint64_t number, void* out, const Step& step) {
    if (number == 0) return true;  // what the API server fills in
    const int64_t value =
        static_cast<int64_t>(number) - type.enumeration->wire_offset;
    if (value < 0 || value > INT32_MAX ||
        schema::FindValue(*type.enumeration, static_cast<int>(value)) ==
            nullptr) {
      return Fail(step, absl::StrCat("the number ", number),
                  absl::StrCat("that of ", schema::NamesOf(*type.enumeration)));
    }
    schema::StoreEnum(*type.enumeration, static_cast<int>(value), out);
    return true;
  }

  // T: std::string or SharedText.
  template <typename T>
  bool CheckedText(schema::Check check, uint32_t tag, T& out,
                   const Step& step) {
    absl::string_view text;
    if (!View(tag, text, step)) return false;
    Assign(text, out);
    // Addresses of slices are looked at when their type is known.
    if (check != schema::Check::kNone &&
        check != schema::Check::kEndpointAddress && !text.empty() &&
        !schema::Passes(check, text)) {
      return Fail(step, "a text that is none", schema::ExpectedText(check));
    }
    return true;
  }

  bool Text(uint32_t tag, std::string& out, const Step& step) {
    absl::string_view text;
    if (!View(tag, text, step)) return false;
    Assign(text, out);
    return true;
  }

  static void Assign(absl::string_view text, std::string& out) {
    out.assign(text.data(), text.size());
  }
  void Assign(absl::string_view text, SharedText& out) {
    if (in_.IsFollowedBy(text, SharedText::kPadding)) {
      out.AssignPadded(text, arena_);
    } else {
      out = SharedText(text, arena_);
    }
  }

  // The text where it lies in the bytes.
  bool View(uint32_t tag, absl::string_view& out, const Step& step) {
    if (WireFormatLite::GetTagWireType(tag) !=
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return Fail(step, "a number", "a text");
    }
    size_t size = 0;
    if (!Size(step, size)) return false;
    out = in_.Take(size);
    if (!IsPlainText(out) &&
        (!IsValidUtf8(out) || out.find('\0') != absl::string_view::npos)) {
      return Fail(step, "a text that is not UTF-8 or has NUL bytes",
                  "UTF-8 without them");
    }
    return true;
  }

  // Nothing but ASCII, and no NUL.
  static bool IsPlainText(absl::string_view text) {
    constexpr uint64_t kOnes = 0x0101010101010101;
    constexpr uint64_t kHigh = 0x8080808080808080;
    // Bytes of 0x80 and more, and bytes that are 0.
    const auto odd_at = [](const char* p) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      return word | ((word - kOnes) & ~word);
    };
    const char* p = text.data();
    const size_t size = text.size();
    if (size < 8) {
      for (const char c : text) {
        if (static_cast<signed char>(c) <= 0) return false;
      }
      return true;
    }
    uint64_t odd = odd_at(p + size - 8);
    for (size_t i = 0; i + 8 < size; i += 8) odd |= odd_at(p + i);
    return (odd & kHigh) == 0;
  }

  bool Port(const Field& field, uint32_t tag, PortOrName& out,
            const Step& step) {
    return Message(tag, step, [&] {
      while (const uint32_t inner = in_.ReadTag()) {
        switch (WireFormatLite::GetTagFieldNumber(inner)) {
          case kPortNumber:
            if (!Int32(field.check, inner, out.emplace<int32_t>(), step)) {
              return false;
            }
            break;
          case kPortName:
            if (!Text(inner, out.emplace<std::string>(), step)) return false;
            break;
          default:
            if (!in_.SkipField(inner)) {
              return Fail(step, "broken bytes", "protobuf");
            }
        }
      }
      return true;
    });
  }

  bool MapEntry(uint32_t tag, StringMap& out, const Step& step) {
    std::string key;
    std::string value;
    const bool read = Message(tag, step, [&] {
      while (const uint32_t inner = in_.ReadTag()) {
        const int number = WireFormatLite::GetTagFieldNumber(inner);
        if (number == kKeyNumber || number == kValueNumber) {
          if (!Text(inner, number == kKeyNumber ? key : value, step)) {
            return false;
          }
        } else if (!in_.SkipField(inner)) {
          return Fail(step, "broken bytes", "protobuf");
        }
      }
      return true;
    });
    if (!read || !Charge(2 * sizeof(key), step)) return false;
    out.insert_or_assign(out.end(), std::move(key), std::move(value));
    return true;
  }

  // Counts memory; false if it is too much.
  bool Charge(size_t bytes, const Step& step) {
    memory_ += bytes;
    return memory_ <= options_.max_memory_bytes || FailTooMuch(step);
  }
  ABSL_ATTRIBUTE_NOINLINE bool FailTooMuch(const Step& step) {
    Fail(step, "larger objects",
         absl::StrCat("at most ", options_.max_memory_bytes,
                      " bytes of memory"));
    status_ = absl::ResourceExhaustedError(status_.message());
    return false;
  }

  bool Fail(const Step& step, absl::string_view found,
            absl::string_view expected) {
    if (!status_.ok()) return false;
    std::string path;
    for (const Step* s = &step; s != nullptr && !s->name.empty();
         s = s->parent) {
      path = path.empty() ? std::string(s->name)
                          : absl::StrCat(s->name, ".", path);
    }
    status_ = absl::InvalidArgumentError(absl::StrCat(
        "snapshot: byte ", in_.position(), ": ", path, path.empty() ? "" : ": ",
        "found ", found, ", expected ", expected));
    return false;
  }

  WireReader in_;
  const SnapshotOptions& options_;
  ObjectArena arena_;
  size_t memory_ = 0;
  absl::Status status_;
};

}  // namespace

template <typename T>
void SnapshotWriter::Add(const T& object) {
  const schema::Kind& kind = schema::KindOf<T>();
  const auto number =
      static_cast<uint32_t>(&kind - schema::ClusterKinds().data()) +
      kFirstKindNumber;
  Encoder(out_).Object(number, kind.type->fields, &object);
}

template void SnapshotWriter::Add(const Service&);
template void SnapshotWriter::Add(const EndpointSlice&);
template void SnapshotWriter::Add(const Endpoints&);
template void SnapshotWriter::Add(const Pod&);
template void SnapshotWriter::Add(const Node&);
template void SnapshotWriter::Add(const Namespace&);
template void SnapshotWriter::Add(const NetworkPolicy&);

absl::StatusOr<std::string> WriteSnapshot(const Cluster& cluster,
                                          const SnapshotOptions& options) {
  std::string bytes;
  SnapshotWriter writer(&bytes);
  AddAll(cluster.services(), writer);
  AddAll(cluster.endpoint_slices(), writer);
  AddAll(cluster.endpoints(), writer);
  AddAll(cluster.pods(), writer);
  AddAll(cluster.nodes(), writer);
  AddAll(cluster.namespaces(), writer);
  AddAll(cluster.network_policies(), writer);
  if (bytes.size() > options.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("snapshot: ", bytes.size(), " bytes, expected at most ",
                     options.max_bytes));
  }
  return bytes;
}

absl::StatusOr<Cluster> ReadSnapshot(absl::string_view bytes,
                                     const SnapshotOptions& options) {
  const size_t limit = std::min(options.max_bytes, (size_t{2} << 30) - 1);
  if (bytes.size() > limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "snapshot: found ", bytes.size(), " bytes, expected at most ", limit));
  }
  Cluster cluster;
  Decoder decoder(bytes, options);
  if (absl::Status status = decoder.ReadInto(cluster); !status.ok()) {
    return status;
  }
  return cluster;
}

}  // namespace k8sdns
