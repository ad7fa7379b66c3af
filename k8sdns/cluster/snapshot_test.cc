#include "k8sdns/cluster/snapshot.h"

#include <google/protobuf/descriptor.h>

#include <random>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "k8sdns/cluster/full_cluster.h"
#include "k8sdns/cluster/manifest_writer.h"
#include "k8sdns/cluster/schema.h"
#include "proto/k8sdns/v1/cluster.pb.h"

namespace k8sdns {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using schema::Shape;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Bytes(const Cluster& cluster) {
  absl::StatusOr<std::string> bytes = WriteSnapshot(cluster);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : "";
}

std::string Bytes(const v1::Cluster& message) {
  return message.SerializeAsString();
}

std::string ErrorOf(absl::string_view bytes,
                    const SnapshotOptions& options = {}) {
  return std::string(ReadSnapshot(bytes, options).status().message());
}

TEST(Snapshot, EveryFieldComesBack) {
  const Cluster full = FullCluster();
  absl::StatusOr<Cluster> again = ReadSnapshot(Bytes(full));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(Difference(full, *again), IsEmpty()) << WriteYaml(*again);
  EXPECT_EQ(WriteYaml(full), WriteYaml(*again));
  EXPECT_EQ(Bytes(full), Bytes(*again));
}

TEST(Snapshot, AnEmptyClusterIsNoBytes) {
  EXPECT_EQ(Bytes(Cluster()), "");
  EXPECT_TRUE(ReadSnapshot("").ok());
}

TEST(Snapshot, GeneratedClassesReadAndWriteTheSame) {
  const Cluster full = FullCluster();
  v1::Cluster message;
  ASSERT_TRUE(message.ParseFromString(Bytes(full)));
  EXPECT_EQ(message.services(0).metadata().name(), "a");
  EXPECT_EQ(message.services(0).spec().ports(1).target_port().name(), "name");
  EXPECT_EQ(message.endpoint_slices(0).endpoints(0).ready(), false);
  EXPECT_TRUE(message.endpoint_slices(0).endpoints(0).has_ready());
  EXPECT_TRUE(message.endpoint_slices(0).endpoints(0).has_hints_for_nodes());
  absl::StatusOr<Cluster> again = ReadSnapshot(Bytes(message));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(Difference(full, *again), IsEmpty());
}

// --- The schema --------------------------------------------------------------

void ExpectSameEnum(const schema::EnumType& type, const EnumDescriptor& proto) {
  EXPECT_EQ(static_cast<int>(type.names.size()), proto.value_count() - 1)
      << proto.full_name();
  for (const schema::EnumName& name : type.names) {
    const auto* value = proto.FindValueByNumber(name.value + type.wire_offset);
    ASSERT_NE(value, nullptr) << proto.full_name() << " " << name.name;
    // "SERVICE_TYPE_CLUSTER_IP" ends with "CLUSTERIP" without underscores.
    const std::string wire = absl::StrReplaceAll(value->name(), {{"_", ""}});
    EXPECT_THAT(wire, testing::EndsWith(absl::AsciiStrToUpper(name.name)));
  }
}

void ExpectSameMessage(absl::Span<const schema::Field> fields,
                       const Descriptor& proto, bool group, int& count);

void ExpectSameField(const schema::Type& type, const FieldDescriptor& proto) {
  switch (type.shape) {
    case Shape::kString:
    case Shape::kSharedText:
      EXPECT_EQ(proto.type(), FieldDescriptor::TYPE_STRING);
      break;
    case Shape::kInt32:
      EXPECT_EQ(proto.type(), FieldDescriptor::TYPE_INT32);
      break;
    case Shape::kBool:
      EXPECT_EQ(proto.type(), FieldDescriptor::TYPE_BOOL);
      break;
    case Shape::kEnum:
      ASSERT_EQ(proto.type(), FieldDescriptor::TYPE_ENUM);
      ExpectSameEnum(*type.enumeration, *proto.enum_type());
      break;
    case Shape::kPortOrName:
      ASSERT_EQ(proto.type(), FieldDescriptor::TYPE_MESSAGE);
      EXPECT_EQ(proto.message_type()->name(), "PortOrName");
      break;
    case Shape::kStringMap:
      EXPECT_TRUE(proto.is_map());
      break;
    case Shape::kObject: {
      ASSERT_EQ(proto.type(), FieldDescriptor::TYPE_MESSAGE);
      int count = 0;
      ExpectSameMessage(type.object->fields, *proto.message_type(), false,
                        count);
      EXPECT_EQ(count, proto.message_type()->field_count())
          << proto.full_name();
      break;
    }
    case Shape::kList:
      EXPECT_TRUE(proto.is_repeated()) << proto.full_name();
      ExpectSameField(*type.element, proto);
      break;
    case Shape::kOptional:
      // A map that is there and empty is read back as none.
      EXPECT_TRUE(proto.has_presence() || proto.is_map()) << proto.full_name();
      if (type.element->shape == Shape::kList) {
        EXPECT_EQ(proto.message_type()->name(), "StringList");
      } else {
        ExpectSameField(*type.element, proto);
      }
      break;
    case Shape::kBoolMap:
      FAIL() << proto.full_name();
  }
}

void ExpectSameMessage(absl::Span<const schema::Field> fields,
                       const Descriptor& proto, bool group, int& count) {
  absl::string_view previous;
  for (const schema::Field& field : fields) {
    EXPECT_LT(previous, field.name.text()) << "not in alphabetical order";
    previous = field.name;
    if (field.type == nullptr) {
      ExpectSameMessage(field.group, proto, true, count);
      continue;
    }
    ++count;
    const FieldDescriptor* wire = proto.FindFieldByNumber(field.number);
    ASSERT_NE(wire, nullptr) << proto.full_name() << " " << field.name.text();
    if (!group) {
      EXPECT_EQ(absl::AsciiStrToLower(wire->json_name()),
                absl::AsciiStrToLower(field.name.text()));
    }
    ExpectSameField(*field.type, *wire);
  }
}

TEST(Snapshot, TheTablesAndTheProtoFileAgree) {
  const Descriptor& cluster = *v1::Cluster::descriptor();
  ASSERT_EQ(cluster.field_count(),
            static_cast<int>(schema::ClusterKinds().size()));
  for (int i = 0; i < cluster.field_count(); ++i) {
    const schema::Kind& kind = schema::ClusterKinds()[i];
    const FieldDescriptor* field = cluster.FindFieldByNumber(i + 1);
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(field->message_type()->name(), std::string(kind.kind));
    int count = 0;
    ExpectSameMessage(kind.type->fields, *field->message_type(), false, count);
    EXPECT_EQ(count, field->message_type()->field_count()) << kind.kind;
  }
}

// --- Bad input ---------------------------------------------------------------

TEST(Snapshot, WrongValuesAreErrors) {
  v1::Cluster message;
  v1::Service& service = *message.add_services();
  EXPECT_THAT(ErrorOf(Bytes(message)),
              HasSubstr("Service: found no name, expected metadata.name"));
  service.mutable_metadata()->set_name("a");
  service.mutable_spec()->set_cluster_ip("10.0.0");
  EXPECT_EQ(ErrorOf(Bytes(message)),
            "snapshot: byte 17: Service.spec.clusterIP: found a text that is "
            "none, expected an IP address or None");
  service.mutable_spec()->set_cluster_ip("");
  service.mutable_spec()->add_ports()->set_port(70000);
  EXPECT_THAT(ErrorOf(Bytes(message)),
              HasSubstr("Service.spec.ports.port: found 70000, expected an "
                        "integer from 1 to 65535"));
  service.mutable_spec()->clear_ports();
  service.mutable_spec()->set_type(static_cast<v1::ServiceType>(9));
  EXPECT_THAT(ErrorOf(Bytes(message)),
              HasSubstr("Service.spec.type: found the number 9, expected that "
                        "of ClusterIP"));
  service.mutable_spec()->clear_type();
  service.mutable_metadata()->set_uid(std::string("a\0b", 3));
  EXPECT_THAT(ErrorOf(Bytes(message)), HasSubstr("NUL"));

  message.clear_services();
  v1::EndpointSlice& slice = *message.add_endpoint_slices();
  slice.mutable_metadata()->set_name("s");
  slice.add_endpoints()->add_addresses("db.example.com");
  EXPECT_THAT(ErrorOf(Bytes(message)),
              HasSubstr("EndpointSlice.endpoints.addresses"));
  slice.set_address_type(v1::ADDRESS_TYPE_FQDN);
  EXPECT_EQ(ErrorOf(Bytes(message)), "");
}

TEST(Snapshot, FieldsOfTheFutureAreSkipped) {
  std::string bytes = Bytes(FullCluster());
  absl::StrAppend(&bytes, "\xFA\x01\x03", "abc");  // number 31
  absl::StatusOr<Cluster> cluster = ReadSnapshot(bytes);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_THAT(Difference(*cluster, FullCluster()), IsEmpty());
}

// Groups have no number of their own in the tables.
TEST(Snapshot, TheFieldNumberZeroIsRefused) {
  v1::Cluster message;
  message.add_services()->mutable_metadata()->set_name("a");
  std::string bytes = Bytes(message);
  bytes[1] = static_cast<char>(bytes[1] + 2);  // the length of the Service
  EXPECT_NE(ErrorOf(bytes + std::string("\x02\x00", 2)), "");
}

TEST(Snapshot, LimitsHold) {
  const std::string bytes = Bytes(FullCluster());
  EXPECT_THAT(ErrorOf(bytes, {.max_bytes = 10}),
              HasSubstr("expected at most 10"));
  // A slice with many empty endpoints: two bytes each.
  v1::Cluster message;
  v1::EndpointSlice& slice = *message.add_endpoint_slices();
  slice.mutable_metadata()->set_name("s");
  for (int i = 0; i < 300'000; ++i) slice.add_endpoints();
  SnapshotOptions options;
  options.max_memory_bytes = 50 << 20;
  const absl::Status status = ReadSnapshot(Bytes(message), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("EndpointSlice.endpoints: found larger objects"));
}

TEST(Snapshot, EveryCutIsAnErrorOrAShorterCluster) {
  const std::string bytes = Bytes(FullCluster());
  for (size_t size = 0; size < bytes.size(); ++size) {
    absl::StatusOr<Cluster> cluster =
        ReadSnapshot(absl::string_view(bytes).substr(0, size));
    if (cluster.ok()) {
      EXPECT_LT(Bytes(*cluster).size(), bytes.size());
    } else {
      EXPECT_THAT(std::string(cluster.status().message()),
                  HasSubstr("snapshot: byte "));
    }
  }
}

TEST(Snapshot, GarbageNeverCrashes) {
  const std::string bytes = Bytes(FullCluster());
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string garbage = bytes;
    for (int j = 0; j < 1 + i % 4; ++j) {
      garbage[random() % garbage.size()] = static_cast<char>(random());
    }
    absl::StatusOr<Cluster> cluster = ReadSnapshot(garbage);
    if (!cluster.ok()) continue;
    // What was taken is a cluster that can be written and read again.
    absl::StatusOr<Cluster> again = ReadSnapshot(Bytes(*cluster));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_THAT(Difference(*cluster, *again), IsEmpty());
  }
}

}  // namespace
}  // namespace k8sdns
