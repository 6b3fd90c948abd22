"""A gRPC server or client in a process of its own, told what to do by lines of JSON; its environment names the bootstrap file.

`app.py server ADDRESS NAME [--xds] [--delay SECONDS]`: answers every method with who it is, until its input ends.
`app.py client`: carries out each order that it reads, and writes what came of it.

The payload is JSON: no generated code is needed.
"""

import collections
import concurrent.futures
import json
import sys
import threading
import time

import grpc
from grpc.experimental import insecure_channel_credentials


def dumps(value: object) -> bytes:
    return json.dumps(value).encode()


class Echo(grpc.GenericRpcHandler):
    """Any method of any service. What the request says, is done to it: `fail` (a status' name), `tries` (how often, per `key`), `sleep` (seconds)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(request: dict, context: grpc.ServicerContext) -> dict:
            return self.answer(details, request, context)

        return grpc.unary_unary_rpc_method_handler(answer, json.loads, dumps)

    def answer(self, details: grpc.HandlerCallDetails, request: dict, context: grpc.ServicerContext) -> dict:
        with self.lock:
            key = request.get("key", "")
            self.calls[key] += 1
            call = self.calls[key]
        time.sleep(request.get("sleep", 0))
        fails = request.get("fail") and request.get("at", self.name) == self.name
        if fails and call <= request.get("tries", 1 << 30):
            context.abort(grpc.StatusCode[request["fail"]], f"{self.name} was told to fail")
        peer = context.peer_identities() or []
        return {
            "server": self.name,
            "method": details.method,
            "call": call,
            "from": context.peer(),
            "peer": [identity.decode() for identity in peer],
            "headers": dict(details.invocation_metadata),
        }


def serve(address: str, name: str, xds: bool) -> None:
    threads = concurrent.futures.ThreadPoolExecutor(64)
    server = grpc.server(threads, handlers=[Echo(name)], xds=xds, options=[("grpc.so_reuseport", 0)])
    if xds:
        server.add_secure_port(address, grpc.xds_server_credentials(grpc.insecure_server_credentials()))
    else:
        server.add_insecure_port(address)
    server.start()
    print(json.dumps({"listening": address}), flush=True)
    sys.stdin.read()
    server.stop(0).wait()


class Client:
    """Keeps a channel for each target and number."""

    def __init__(self) -> None:
        self.channels: dict[tuple[str, int], grpc.Channel] = {}

    def channel(self, target: str, number: int) -> grpc.Channel:
        key = (target, number)
        if key not in self.channels:
            credentials = grpc.xds_channel_credentials(insecure_channel_credentials())
            # A pool of its own: another channel to a target is another connection.
            options = [("grpc.use_local_subchannel_pool", 1)] if number else []
            self.channels[key] = grpc.secure_channel(target, credentials, options)
        return self.channels[key]

    def call(self, order: dict) -> list[dict]:
        """`count` calls, `parallel` at a time."""
        channel = self.channel(order["target"], order.get("channel", 0))
        method = channel.unary_unary(order.get("method", "/shop.Echo/Say"), dumps, json.loads)

        def one(number: int) -> dict:
            began = time.monotonic()
            metadata = [(key, value.replace("#", str(number))) for key, value in order.get("metadata", [])]
            try:
                ready = order.get("wait", True)
                answer = method(order.get("body", {}), timeout=order.get("timeout", 20), metadata=metadata, wait_for_ready=ready)
                answer["code"] = "OK"
            except grpc.RpcError as error:
                answer = {"code": error.code().name, "details": error.details()}
            answer["seconds"] = time.monotonic() - began
            return answer

        with concurrent.futures.ThreadPoolExecutor(order.get("parallel", 1)) as threads:
            return list(threads.map(one, range(order.get("count", 1))))

    def status(self, _order: dict) -> dict:
        """What CSDS tells of this process."""
        from envoy.service.status.v3 import csds_pb2
        from envoy.admin.v3 import config_dump_shared_pb2
        from grpc._cython import cygrpc

        response = csds_pb2.ClientStatusResponse.FromString(cygrpc.dump_xds_configs())
        resources = [
            {
                "target": config.client_scope,
                "node": config.node.id,
                "type": resource.type_url.rsplit(".", 1)[-1],
                "name": resource.name,
                "status": config_dump_shared_pb2.ClientResourceStatus.Name(resource.client_status),
                "error": resource.error_state.details,
            }
            for config in response.config
            for resource in config.generic_xds_configs
        ]
        return {"resources": resources}

    def serve_status(self, order: dict) -> dict:
        """Serves CSDS at `address` as a program would that wants to be looked into by grpcdebug."""
        import grpc_csds

        self.status_server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        grpc_csds.add_csds_servicer(self.status_server)
        port = self.status_server.add_insecure_port(order["address"])
        self.status_server.start()
        return {"port": port}

    def close(self, order: dict) -> dict:
        self.channels.pop((order["target"], order.get("channel", 0))).close()
        return {}


def obey() -> None:
    client = Client()
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(client, order.get("do", "call"))(order)), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve(sys.argv[2], sys.argv[3], "--xds" in sys.argv)
    else:
        obey()
