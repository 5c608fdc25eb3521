# The server with its embedded PostgreSQL; give DATABASE_URL to use a PostgreSQL of your own.
#   docker build -t depgraph .
#   docker run -p 127.0.0.1:50051:50051 -e DEPGRAPH_ALLOW_PLAINTEXT=true -v depgraph:/var/lib/depgraph depgraph
# Other hosts get TLS instead (docs/security.md), with certificates in the folder `certificates`,
# which the user 10001 can read:
#   docker run -p 50443:50443 -v "$PWD/certificates:/certificates:ro" -v depgraph:/var/lib/depgraph \
#     -e DEPGRAPH_LISTEN=127.0.0.1:50051 -e DEPGRAPH_TLS_LISTEN=0.0.0.0:50443 \
#     -e DEPGRAPH_TLS_CERT=/certificates/tls.crt -e DEPGRAPH_TLS_KEY=/certificates/tls.key depgraph
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY scripts/install_server.sh scripts/environment.sh scripts/check_python.py scripts/
COPY depgraph depgraph
COPY graphcore graphcore
COPY server server
RUN sh scripts/install_server.sh /opt/depgraph

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/depgraph --create-home depgraph
COPY --from=build /opt/depgraph /opt/depgraph
COPY --chmod=755 scripts/healthy.sh /opt/depgraph/bin/healthy
ENV PATH=/opt/depgraph/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DEPGRAPH_LISTEN=0.0.0.0:50051 \
    DEPGRAPH_ADDRESS=127.0.0.1:50051 \
    DEPGRAPH_DATA_DIR=/var/lib/depgraph \
    DEPGRAPH_METRICS_LISTEN=127.0.0.1:9464
# Without TLS or DEPGRAPH_ALLOW_PLAINTEXT the server refuses that address, and says how.
USER depgraph
VOLUME /var/lib/depgraph
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/opt/depgraph/bin/healthy"]
ENTRYPOINT ["depgraph"]
CMD ["serve"]
