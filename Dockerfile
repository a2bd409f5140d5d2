# Every Conclave process is this image: `conclave run` decides what it is. It builds with BuildKit and without.
ARG NODE_IMAGE=node:20-bookworm-slim

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
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts \
 && find packages -name '*.tsbuildinfo' -delete \
 && rm -rf packages/*/test

FROM ${NODE_IMAGE}
ENV NODE_ENV=production CONCLAVE_DATA_DIR=/var/lib/conclave
RUN mkdir -p /var/lib/conclave && chown node:node /var/lib/conclave
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/packages ./packages
USER node
# The exec form makes Node process 1, so SIGTERM reaches it; `conclave` handles it, as process 1 must.
ENTRYPOINT ["node", "/app/packages/cli/bin/conclave.js"]
CMD ["--help"]
