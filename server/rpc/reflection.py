"""Reflection: v1 and v1alpha, which differ only in the names of their package."""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool

# Clients look the messages of errors up by name, so they must be in the pool that is reflected.
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from server.rpc.methods import Registrar

SERVICE_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
REFLECTED_ERRORS = (error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR)
_V1_FILE = "grpc/reflection/v1/reflection.proto"


def register(service_names: Iterable[str], registrar: Registrar) -> None:
    """Register reflection of the named services, which lists itself too, under both names."""
    _describe_v1()
    reflection.enable_server_reflection((*service_names, *SERVICE_NAMES), registrar)
    v1, v1alpha = SERVICE_NAMES
    method = "ServerReflectionInfo"
    registrar.add_registered_method_handlers(v1, {method: registrar.handlers[f"/{v1alpha}/{method}"]})


def _describe_v1() -> None:
    """Add v1 to protobuf's pool, once: the description of v1alpha with the other package."""
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(_V1_FILE)
    except KeyError:
        v1 = descriptor_pb2.FileDescriptorProto()
        reflection_pb2.DESCRIPTOR.CopyToProto(v1)
        v1.name, v1.package = _V1_FILE, "grpc.reflection.v1"
        for message in v1.message_type:
            for field in message.field:
                if field.type_name:
                    field.type_name = _in_v1(field.type_name)
        for method in v1.service[0].method:
            method.input_type, method.output_type = _in_v1(method.input_type), _in_v1(method.output_type)
        pool.AddSerializedFile(v1.SerializeToString())


def _in_v1(name: str) -> str:
    return name.replace(".v1alpha.", ".v1.")
