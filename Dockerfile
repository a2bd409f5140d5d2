# Every Conclave process is this image: its one entry point is `conclave`, whose first word decides what it is. It runs as the user `node`
# (1000) on a read-only root file system; a log-store wants a volume at /var/lib/conclave. It builds with BuildKit and without.
#
# The supported versions of Node.js are 20.19 and newer: --build-arg NODE_IMAGE=node:22-bookworm-slim is another one of them.
ARG NODE_IMAGE=node:24-bookworm-slim

# What `npm ci` reads and nothing else, so that a change of a source file does not install everything again.
FROM ${NODE_IMAGE} AS manifests
# Without BuildKit each stage stays as an image without a name: "docker image prune --filter label=conclave.stage".
LABEL conclave.stage=manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name package.json ! -name package-lock.json ! -name .npmrc -delete \
 && find . -mindepth 1 -type d -empty -delete

FROM ${NODE_IMAGE} AS build
LABEL conclave.stage=build
WORKDIR /src
COPY --from=manifests /src ./
# No package needs its install script: native ones bring their builds along.
RUN npm ci --ignore-scripts
COPY . .
# The command's bundle, and the packages that are not in it.
RUN npm run build \
 && node scripts/image-files.mjs /app

FROM ${NODE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title=Conclave \
      org.opencontainers.image.description="Raft as an actor mesh over NATS" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION}
ENV NODE_ENV=production CONCLAVE_DATA_DIR=/var/lib/conclave
COPY --from=build /app /app
RUN ln -s /app/packages/cli/bin/conclave.js /usr/local/bin/conclave \
 && chmod 755 /app/packages/cli/bin/conclave.js \
 && mkdir -p /var/lib/conclave && chown node:node /var/lib/conclave
USER node
WORKDIR /var/lib/conclave
# Of the peer and the actors that the environment names; a container that is no peer is well.
HEALTHCHECK --interval=15s --timeout=30s --start-period=30s --retries=2 CMD test -z "$CONCLAVE_PEER" || exec conclave health
# `conclave` becomes process 1, so SIGTERM reaches it, and it handles it, as process 1 must.
STOPSIGNAL SIGTERM
ENTRYPOINT ["conclave"]
CMD ["--help"]
